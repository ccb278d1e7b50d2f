// A task's life through npm @volcengine/openapi. Reads {"host", "ak", "sk", "task"} as JSON from standard input, writes
// what the SDK gave to standard output. Run in the directory where the SDK is installed.
const { createRequire } = require("module");
const { Service } = createRequire(process.cwd() + "/")("@volcengine/openapi");

const told = JSON.parse(require("fs").readFileSync(0, "utf8"));

function connect(secret) {
  const service = new Service({
    host: told.host,
    protocol: "http:",
    serviceName: "live",
    defaultVersion: "2023-01-01",
  });
  service.setAccessKeyId(told.ak);
  service.setSecretKey(secret || told.sk);
  return service;
}

async function main() {
  const service = connect();
  const post = (action, body) => service.createJSONAPI(action)(body);
  const listed = (title) => service.createAPI("ListPullToPushTask")({ Page: 1, Size: 20, Title: title });
  const streaming = async (title) => {
    for (let tries = 0; tries < 150; tries++) {
      const found = await listed(title);
      if (found.Result.List[0].Run.State === "streaming") return found;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return listed(title);
  };
  const out = {};
  const created = await post("CreatePullToPushTask", told.task);
  const target = { TaskId: created.Result.TaskId };
  out.task_id = target.TaskId;
  out.created = await streaming(told.task.Title);
  out.update = await post("UpdatePullToPushTask", { ...told.task, ...target, Title: "更新2" });
  out.updated = await listed("更新2");
  out.stop = await post("StopPullToPushTask", target);
  out.stopped = await listed("更新2");
  out.enable = await post("ContinuePullToPushTask", target);
  out.enabled = await streaming("更新2");
  out.grouped = await post("ListPullToPushTaskV2", { GroupNames: ["default"], Title: "更新2" });
  out.relaunch = await post("RelaunchPullToPushTask", target);
  out.relaunched = await streaming("更新2");
  const temporary = service.signSts2();
  const limited = connect(temporary.SecretAccessKey);
  limited.setAccessKeyId(temporary.AccessKeyId);
  limited.setSessionToken(temporary.SessionToken);
  out.temporary = await limited.createAPI("ListPullToPushTask")({ Title: "更新2" });
  out.delete = await post("DeletePullToPushTask", target);
  out.deleted = await listed("更新2");
  const said = async (promise) => JSON.stringify((await promise).ResponseMetadata.Error);
  out.errors = {
    secret: await said(connect("wrong").createJSONAPI("StopPullToPushTask")(target)),
    action: await said(post("NoSuchAction", {})),
    field: await said(post("CreatePullToPushTask", { ...told.task, Title: "x".repeat(21) })),
  };
  process.stdout.write(JSON.stringify(out));
}

main();
