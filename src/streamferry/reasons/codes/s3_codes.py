"""Buckets of S3: as sources, and as the home of the library and of prepared files."""

from streamferry.reasons.code import ReasonCode


class Buckets:
    """What is wrong with a bucket, its server or its keys."""

    ADDRESS_S3 = ReasonCode(
        "address.s3",
        "the address must be s3://BUCKET/KEY, and no part of the key empty, . or ..",
        "地址须为 s3://存储桶/键，且键的任何一段不能为空、. 或 ..",
    )
    ADDRESS_S3_KEYS = ReasonCode(
        "address.s3_keys",
        "keys do not belong in the address, but in the settings s3_access_key_id and s3_secret_access_key",
        "密钥不应写在地址里，请使用设置项 s3_access_key_id 和 s3_secret_access_key",
    )
    S3_NOT_ALLOWED = ReasonCode(
        "s3.not_allowed",
        "{url} lies in the bucket {bucket}, from which tasks may not read (setting s3_buckets)",
        "{url} 位于存储桶 {bucket}，任务不得从中读取（设置项 s3_buckets）",
    )
    FIELD_NO_BUCKETS = ReasonCode(
        "field.no_buckets",
        "no bucket may be read: none is set (setting s3_buckets)",
        "未设置可读取的存储桶（设置项 s3_buckets）",
    )
    FIELD_OUTSIDE_BUCKETS = ReasonCode(
        "field.outside_buckets",
        "is not in a bucket from which tasks may read: {buckets} (setting s3_buckets)",
        "不在任务可读取的存储桶内：{buckets}（设置项 s3_buckets）",
    )
    S3_NOT_INSTALLED = ReasonCode(
        "s3.not_installed",
        "s3: addresses need a package that is not installed: pip install 'streamferry[s3]'",
        "s3: 地址需要尚未安装的软件包：pip install 'streamferry[s3]'",
    )
    S3_BAD_SETTINGS = ReasonCode(
        "s3.bad_settings",
        "the bucket {bucket} cannot be reached as it is set: check s3_endpoint, which is such as "
        "https://s3.example.com, s3_region and s3_access_key_id",
        "存储桶 {bucket} 的设置有误：请检查 s3_endpoint（形如 https://s3.example.com）、s3_region 和 s3_access_key_id",
    )
    S3_BAD_KEY = ReasonCode(
        "s3.bad_key",
        "{url} cannot be asked for: a part of its key is empty, . or ..",
        "{url} 无法请求：键中有一段为空、. 或 ..",
    )
    S3_NO_KEYS = ReasonCode(
        "s3.no_keys",
        "{url} cannot be asked for: there are no keys for it. Set s3_access_key_id and s3_secret_access_key, or "
        "s3_profile, or give the machine a role",
        "{url} 无法请求：没有可用的密钥。请设置 s3_access_key_id 和 s3_secret_access_key，"
        "或 s3_profile，或为机器授予角色",
    )
    S3_FORBIDDEN = ReasonCode(
        "s3.forbidden",
        "the S3 server does not give {url}: it is not there, or the keys do not allow it (settings s3_access_key_id "
        "and s3_secret_access_key; the policy of the bucket {bucket})",
        "S3 服务器拒绝提供 {url}：不存在，或密钥无权访问（设置项 s3_access_key_id 和 s3_secret_access_key；"
        "存储桶 {bucket} 的策略）",
    )
    S3_MISSING = ReasonCode(
        "s3.missing",
        "{url} does not exist: check the bucket {bucket}, the key, and the setting s3_endpoint",
        "{url} 不存在：请检查存储桶 {bucket}、键和设置项 s3_endpoint",
    )
    S3_ELSEWHERE = ReasonCode(
        "s3.elsewhere",
        "the S3 server answered {answer} for {url}: check the settings s3_region, s3_endpoint and s3_addressing, and "
        "the region of the bucket {bucket}",
        "S3 服务器对 {url} 返回 {answer}：请检查设置项 s3_region、s3_endpoint 和 s3_addressing，"
        "以及存储桶 {bucket} 所在的区域",
    )
    SHARED_AWAY = ReasonCode(
        "shared.away",
        "the bucket {bucket} of prepared files cannot be used: files are prepared on this machine alone (settings "
        "shared_cache, s3_endpoint and s3_access_key_id)",
        "预处理文件的存储桶 {bucket} 无法使用：文件仅在本机准备"
        "（设置项 shared_cache、s3_endpoint 和 s3_access_key_id）",
    )
    LIBRARY_AWAY = ReasonCode(
        "library.away",
        "the bucket {bucket} of the library cannot be used now: try again later; what is on the air goes on (settings "
        "library, s3_endpoint and s3_region)",
        "素材库的存储桶 {bucket} 暂不可用，请稍后再试；正在推流的任务不受影响"
        "（设置项 library、s3_endpoint 和 s3_region）",
    )
    LIBRARY_REFUSED = ReasonCode(
        "library.refused",
        "the S3 server answered {answer} for the bucket {bucket} of the library: it is not there, or the keys do not "
        "allow it (settings library, s3_endpoint, s3_region, s3_access_key_id and s3_secret_access_key)",
        "S3 服务器对素材库的存储桶 {bucket} 返回 {answer}：不存在，或密钥无权访问"
        "（设置项 library、s3_endpoint、s3_region、s3_access_key_id 和 s3_secret_access_key）",
    )
    LIBRARY_ODD_KEY = ReasonCode(
        "library.odd_key",
        "the bucket {bucket} of the library cannot be listed: remove what has a key there of which a part is empty, . "
        "or .., or has control characters (setting library)",
        "无法列出素材库的存储桶 {bucket}：请删除其中键的某一段为空、. 或 ..，或含控制字符的对象（设置项 library）",
    )
    FIELD_BUCKET_PLACE = ReasonCode(
        "field.bucket_place",
        "must be s3://BUCKET or s3://BUCKET/PREFIX",
        "须为 s3://存储桶 或 s3://存储桶/前缀",
    )
    S3_NO_PROFILE = ReasonCode(
        "s3.no_profile",
        "there is no profile {profile} (setting s3_profile) in ~/.aws/credentials or ~/.aws/config",
        "~/.aws/credentials 或 ~/.aws/config 中没有配置 {profile}（设置项 s3_profile）",
    )
    S3_PROFILE_ELSEWHERE = ReasonCode(
        "s3.profile_elsewhere",
        "the profile {profile} (setting s3_profile) has no keys of its own (single sign-on, a role, a program): run "
        "`aws configure export-credentials --format env` and give what it prints as environment",
        "配置 {profile}（设置项 s3_profile）本身不含密钥（单点登录、角色或外部程序）："
        "请运行 `aws configure export-credentials --format env`，并将其输出作为环境变量",
    )
