// node-media-server on the loopback: RTMP in and out, HTTP-FLV out.   node server.js RTMP_PORT HTTP_PORT [RECORDED]
// RECORDED is a folder in which each publish becomes an FLV file.
// Each session event is a JSON line on stdout; the server's own log lines are in between.
const NodeMediaServer = require("node-media-server");

const [rtmpPort, httpPort] = process.argv.slice(2, 4).map(Number);
const server = new NodeMediaServer({
  bind: "127.0.0.1",
  rtmp: { port: rtmpPort },
  http: { port: httpPort },
  record: { path: process.argv[4] },
});

for (const event of ["postPublish", "donePublish", "postPlay", "donePlay"]) {
  server.on(event, (session) => {
    console.log(JSON.stringify({ event, session: session.id, path: session.streamPath }));
  });
}

server.run();
