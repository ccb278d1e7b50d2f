"""Tasks: their runs, what somebody wanted done, and the callbacks about them."""

from streamferry.reasons.code import ReasonCode


class Tasks:
    """Runs of tasks."""

    TASK_UNREADABLE = ReasonCode(
        "task.unreadable",
        "the stored task cannot be read: {why}; update it with all its fields, or delete it",
        "无法读取已存储的任务：{why}；请用全部字段更新它，或将其删除",
    )
    TASK_REASON_UNREADABLE = ReasonCode(
        "task.reason_unreadable", "the stored reason cannot be read", "无法读取已存储的原因"
    )
    TASK_OTHER_VERSION = ReasonCode(
        "task.other_version",
        "another version of streamferry wrote it, or it is damaged",
        "由其他版本的 streamferry 写入，或已损坏",
    )
    TASK_SEALED_OTHERWISE = ReasonCode(
        "task.sealed_otherwise", "it is sealed under another key, or damaged", "以其他密钥密封，或已损坏"
    )
    TASK_MARK_DAMAGED = ReasonCode("task.mark_damaged", "its watermark is damaged", "其水印已损坏")
    TASK_MARK_UNREAD = ReasonCode("task.mark_unread", "the watermark's picture was not read", "未读取水印图片")
    TASK_NO_WORKER = ReasonCode(
        "task.no_worker",
        "no worker takes tasks: none runs, or each is cordoned",
        "没有工作进程接手任务：没有运行中的工作进程，或均已停止接收任务",
    )
    TASK_NO_ROOM = ReasonCode("task.no_room", "no worker has room", "没有工作进程有空位")
    TASK_NO_LABEL = ReasonCode("task.no_label", "no worker has label {labels:and}", "没有工作进程具有标签 {labels:and}")
    TASK_NO_LABELLED_ROOM = ReasonCode(
        "task.no_labelled_room",
        "no worker with label {labels:and} has room",
        "具有标签 {labels:and} 的工作进程没有空位",
    )
    TASK_NO_ENCODE_ROOM = ReasonCode(
        "task.no_encode_room", "no worker has room for an encode", "没有工作进程能再进行转码"
    )
    TASK_NEVER_STARTED = ReasonCode(
        "task.never_started",
        "was never started: no worker took it in its time",
        "从未启动：在其时间段内没有工作进程接手",
    )
    TASK_WORKER_SILENT = ReasonCode(
        "task.worker_silent", "its worker has not been heard of for {seconds} s", "其工作进程已有 {seconds} 秒没有消息"
    )
    TASK_WORKER_LOST_LEASE = ReasonCode("task.worker_lost_lease", "its worker lost its lease", "其工作进程失去了租约")
    TASK_WORKER_ENDED = ReasonCode("task.worker_ended", "its worker ended", "其工作进程已结束")
    TASK_MOVES = ReasonCode("task.moves", "moves to another worker", "正在移至其他工作进程")
    TASK_WORKER_GONE = ReasonCode("task.worker_gone", "its worker is gone", "其工作进程已消失")
    TASK_SERVICE_ENDED = ReasonCode("task.service_ended", "its service ended", "其所属服务已结束")
    TASK_RESTORED = ReasonCode("task.restored", "restored from a backup", "已从备份恢复")
    TASK_DISABLED = ReasonCode("task.disabled", "stopped", "已停止")
    TASK_NOT_STARTED = ReasonCode("task.not_started", "not started yet", "尚未开始")
    TASK_RUNNING = ReasonCode("task.running", "running", "正在运行")
    TASK_ENDED = ReasonCode("task.ended", "ended", "已结束")


class Actions:
    """What somebody wanted done."""

    ACTION_READ_ONLY = ReasonCode("action.read_only", "This key may only look.", "此密钥只能查看。")
    ACTION_SESSION_OVER = ReasonCode(
        "action.session_over", "The session is over. Sign in again.", "登录已失效，请重新登录。"
    )
    ACTION_NO_TASK = ReasonCode("action.no_task", "there is no task {task_id}", "没有任务 {task_id}")
    ACTION_NO_GROUP = ReasonCode("action.no_group", "there is no group {name}", "没有分组 {name}")
    ACTION_GROUP_EXISTS = ReasonCode("action.group_exists", "there is already a group {name}", "已有分组 {name}")
    ACTION_PRESET_GROUP = ReasonCode("action.preset_group", "the preset group cannot be deleted", "预设分组不能删除")
    ACTION_GROUP_IN_USE = ReasonCode(
        "action.group_in_use", "group {name} holds tasks; delete them first", "分组 {name} 中有任务，请先删除它们"
    )
    ACTION_WRONG_STATE = ReasonCode(
        "action.wrong_state",
        "task {task_id} is {state}, which {action} is not for",
        "任务 {task_id} {state}，不能执行此操作（{action}）",
    )
    ACTION_TASK_PROBLEM = ReasonCode("action.task_problem", "task {task_id}: {why}", "任务 {task_id}：{why}")
    ACTION_VERSION_CONFLICT = ReasonCode(
        "action.version_conflict",
        "the task was changed meanwhile: it has version {version} now",
        "任务已被他人修改，当前版本为 {version}，请重新载入后再改",
    )
    ACTION_NO_WORKER = ReasonCode("action.no_worker", "there is no worker {name}", "没有工作进程 {name}")
    ACTION_NO_KEY = ReasonCode(
        "action.no_key", "there is no access key {access_key_id}", "没有访问密钥 {access_key_id}"
    )
    ACTION_NO_CALLBACK = ReasonCode("action.no_callback", "there is no callback {event_id}", "没有回调 {event_id}")
    ACTION_CALLBACK_WAITS = ReasonCode(
        "action.callback_waits", "callback {event_id} waits for its delivery already", "回调 {event_id} 已在等待投递"
    )
    ACTION_NO_CALLBACK_URL = ReasonCode(
        "action.no_callback_url", "task {task_id} has no CallbackURL any more", "任务 {task_id} 已没有回调地址"
    )
    ACTION_DESTINATION_CONFLICT = ReasonCode(
        "action.destination_conflict",
        "task {task_id} pushes to the same destination at an overlapping time; stop it or change a window first",
        "任务 {task_id} 在重叠的时间段内推往同一目标，请先停止它或更改时间段",
    )
    ACTION_LIBRARY_FULL = ReasonCode(
        "action.library_full",
        "the disk of the library is full: it takes {room_mb:.0f} MB more at most",
        "素材库磁盘已满，最多还可放入 {room_mb:.0f} MB",
    )
    ACTION_CANNOT_PROBE = ReasonCode("action.cannot_probe", "this service cannot probe", "本服务不能探测地址")
    ACTION_TOO_MANY_PROBES = ReasonCode(
        "action.too_many_probes", "too many addresses are being looked at", "正在探测的地址过多，请稍后再试"
    )
    ACTION_PROBE_TIMED_OUT = ReasonCode(
        "action.probe_timed_out",
        "{url} could not be looked at within {seconds:g} s",
        "{url} 未能在 {seconds:g} 秒内完成探测",
    )
    ACTION_PROBE_SILENT = ReasonCode(
        "action.probe_silent", "the look into the address ended without an answer", "对该地址的探测没有得到结果便结束了"
    )


class Callbacks:
    """Deliveries of callbacks."""

    CALLBACK_TIMED_OUT = ReasonCode(
        "callback.timed_out", "{peer} did not answer within {seconds:g} s", "{peer} 未在 {seconds:g} 秒内应答"
    )
    CALLBACK_BAD_ADDRESS = ReasonCode("callback.bad_address", "the address cannot be used", "地址无法使用")
    CALLBACK_CERTIFICATE_REFUSED = ReasonCode(
        "callback.certificate_refused", "certificate of {peer} refused: {words}", "{peer} 的证书被拒绝：{words}"
    )
    CALLBACK_TLS_FAILED = ReasonCode("callback.tls_failed", "TLS with {peer} failed", "与 {peer} 的 TLS 连接失败")
    CALLBACK_UNREACHABLE_BECAUSE = ReasonCode(
        "callback.unreachable_because", "{peer} cannot be connected to: {why}", "无法连接 {peer}：{why}"
    )
    CALLBACK_UNREACHABLE = ReasonCode("callback.unreachable", "{peer} cannot be connected to", "无法连接 {peer}")
    CALLBACK_CLOSED = ReasonCode(
        "callback.closed", "{peer} closed the connection without an answer", "{peer} 未应答便关闭了连接"
    )
    CALLBACK_NOT_POSTED = ReasonCode(
        "callback.not_posted", "{peer} cannot be posted to ({words})", "无法向 {peer} 发送（{words}）"
    )
    CALLBACK_ANSWERED = ReasonCode("callback.answered", "{peer} answered {status}", "{peer} 返回 {status}")
    CALLBACK_REDIRECTED = ReasonCode(
        "callback.redirected",
        "{peer} answered {status}, and redirects are not followed",
        "{peer} 返回 {status}，不跟随重定向",
    )
    CALLBACK_GONE = ReasonCode(
        "callback.gone",
        "{peer} answered {status}: nothing more is sent there until the task is updated or the "
        "callback is sent again by hand",
        "{peer} 返回 {status}：在更新任务或手动重发回调之前，不再向其发送",
    )
    CALLBACK_URL_UNREADABLE = ReasonCode(
        "callback.url_unreadable",
        "the stored CallbackURL cannot be read: give the task its CallbackURL anew",
        "无法读取已存储的回调地址：请重新设置任务的回调地址",
    )
    CALLBACK_SECRET_DAMAGED = ReasonCode(
        "callback.secret_damaged",
        "the secret that callbacks are signed with cannot be opened; make another: streamferry "
        "callbacks secret --replace",
        "无法打开回调签名密钥；请新建一个：streamferry callbacks secret --replace",
    )
    CALLBACK_DAMAGED = ReasonCode(
        "callback.damaged", "what was to be told cannot be read any more", "要告知的内容已无法读取"
    )
