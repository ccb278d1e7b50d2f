"""Pictures: those uploaded for watermarks, and previews of what is sent."""

from streamferry.reasons.code import ReasonCode


class Pictures:
    """Pictures for watermarks."""

    PICTURE_UNKNOWN = ReasonCode(
        "picture.unknown", "the data is neither a PNG nor a JPEG picture", "图片不是 PNG 或 JPEG"
    )
    PICTURE_PNG_CUT_SHORT = ReasonCode("picture.png_cut_short", "the PNG picture is cut short", "PNG 图片不完整")
    PICTURE_JPEG_CUT_SHORT = ReasonCode("picture.jpeg_cut_short", "the JPEG picture is cut short", "JPEG 图片不完整")
    PICTURE_PNG_DAMAGED = ReasonCode(
        "picture.png_damaged", "the PNG picture is damaged: a checksum in it is wrong", "PNG 图片已损坏：校验和不符"
    )
    PICTURE_JPEG_DAMAGED = ReasonCode(
        "picture.jpeg_damaged",
        "the JPEG picture is damaged: a segment does not begin where it should",
        "JPEG 图片已损坏",
    )
    PICTURE_PNG_NO_HEADER = ReasonCode(
        "picture.png_no_header", "the PNG picture does not begin with its header", "PNG 图片缺少文件头"
    )
    PICTURE_SIZE = ReasonCode("picture.size", "must have 100 bytes to 2 MB", "图片大小须为 100 字节至 2 MB")
    PICTURE_PIXELS = ReasonCode("picture.pixels", "must be at most {side} x {side} pixels", "最大 {side} x {side} 像素")
    PICTURE_UNREADABLE = ReasonCode("picture.unreadable", "{path} cannot be read ({why})", "{path} 无法读取（{why}）")
    PICTURE_NOT_DATA_URL = ReasonCode(
        "picture.not_data_url", "must be data:image/<png|jpg|jpeg>;base64,<data>", "须为 PNG 或 JPEG 图片"
    )
    PICTURE_BAD_BASE64 = ReasonCode("picture.bad_base64", "holds no valid base64", "图片数据无效")


class Previews:
    """Previews."""

    PREVIEW_TOO_MANY = ReasonCode(
        "preview.too_many",
        "{count} viewers look at this task already, and more are not served",
        "已有 {count} 人在预览此任务，暂不能再打开",
    )
    PREVIEW_CODEC = ReasonCode(
        "preview.codec",
        "the stream cannot be previewed: browsers are not given {codec}",
        "该流无法预览：浏览器不支持 {codec}",
    )
    PREVIEW_UNREADABLE = ReasonCode(
        "preview.unreadable", "the stream cannot be previewed: {words}", "该流无法预览：{words}"
    )
    PREVIEW_INTERNAL = ReasonCode(
        "preview.internal",
        "the stream cannot be previewed: an internal error; see the log",
        "该流无法预览：内部错误，详见日志",
    )
    PREVIEW_TOO_MANY_OF_KEY = ReasonCode(
        "preview.too_many_of_key",
        "as many previews are open already as are served, in all or to one key",
        "已打开的预览数已达上限（总数或单个密钥）",
    )
    PREVIEW_NOT_RUNNING = ReasonCode(
        "preview.not_running", "the task is not running: there is nothing to be seen", "任务未在运行，没有画面"
    )
    PREVIEW_TOO_MANY_READERS = ReasonCode(
        "preview.too_many_readers",
        "{count} previews are open already, and more are not served",
        "已有 {count} 路预览，暂不能再打开",
    )
    PREVIEW_WORKER_SILENT = ReasonCode(
        "preview.worker_silent",
        "the worker that has the task cannot be asked for a preview",
        "无法向运行该任务的工作进程请求预览",
    )
    PREVIEW_WORKER_REFUSES = ReasonCode(
        "preview.worker_refuses", "the worker that has the task refuses a preview", "运行该任务的工作进程拒绝预览"
    )
    PREVIEW_NOT_DECODED = ReasonCode(
        "preview.not_decoded",
        "no thumbnail can be made: ffmpeg cannot decode the stream's picture",
        "无法生成缩略图：ffmpeg 不能解码该流的画面",
    )
    PREVIEW_NO_PICTURE = ReasonCode(
        "preview.no_picture", "no thumbnail can be made: the stream has no picture", "无法生成缩略图：该流没有画面"
    )
    PREVIEW_ENDED_EARLY = ReasonCode(
        "preview.ended_early", "the stream ended before its first picture", "流在第一帧画面之前已结束"
    )
    PREVIEW_NO_PASS = ReasonCode(
        "preview.no_pass", "this needs a pass that is good for the task now", "需要对该任务当前有效的通行证"
    )
    PREVIEW_WORKER_FULL = ReasonCode(
        "preview.worker_full",
        "a worker serves {count} viewers and has as many",
        "一个工作进程最多供 {count} 人观看，现已满",
    )
    PREVIEW_NOT_HERE = ReasonCode(
        "preview.not_here", "the task does not run on this worker", "任务不在此工作进程上运行"
    )
    PREVIEW_NO_FIRST_PICTURE = ReasonCode(
        "preview.no_first_picture",
        "no picture to begin with has reached the destination for {seconds:.0f} s",
        "{seconds:.0f} 秒内没有可供开始的画面到达推流目标",
    )
    PREVIEW_TASK_ENDED = ReasonCode("preview.task_ended", "the task has ended", "任务已结束")
