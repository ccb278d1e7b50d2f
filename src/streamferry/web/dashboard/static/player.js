// Plays the live preview of a task in a <video>: fetch, fragmented MP4, Media Source Extensions. No dependencies.
//
//   import { play } from ".../player.js";
//   const stop = play(video, "/dashboard/tasks/ID/preview", (sentence) => { ... });
//
// `tell` is called with a sentence when nothing can be shown, and with "" once pictures come. The player begins anew
// when the stream ends or breaks, and leaves by itself when the <video> is taken out of the page. `headers` go with
// each request: the REST API wants a bearer token, the dashboard its cookie. `words` are sentences to say instead of
// ours, for a page in another language.

const LAG_S = 1.5;      // How far behind the newest picture it plays: some fragments, and a visit of the relay.
const MAX_LAG_S = 3;    // Further behind than this, it jumps.
const KEPT_S = 20;      // What was played is kept this long.
const PAUSE_MS = 1000;  // Before it begins anew; doubled each time up to the longest.
const LONGEST_PAUSE_MS = 15000;

const WORDS = {
  ended: "The stream has ended.",
  broken: "The preview broke off.",
  unable: "This browser cannot play it.",
};

class Problem extends Error {}

export function play(video, url, tell = () => {}, headers = {}, words = {}) {
  const leaving = new AbortController();
  run(video, { url, headers, signal: leaving.signal, words: { ...WORDS, ...words } }, tell).finally(() => {
    video.removeAttribute("src");
    video.load();
  });
  return () => leaving.abort();
}

async function run(video, stream, tell) {
  const { signal, words } = stream;
  let pause = PAUSE_MS;
  while (!signal.aborted) {
    try {
      await watch(video, stream, () => {
        pause = PAUSE_MS;
        tell("");
      });
      tell(words.ended);
    } catch (error) {
      if (signal.aborted) return;
      tell(error instanceof Problem ? error.message : words.broken);
    }
    if (!video.isConnected) return;
    await new Promise((wake) => setTimeout(wake, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

async function watch(video, { url, headers, signal, words }, tellPlaying) {
  if (!window.MediaSource) throw new Problem(words.unable);
  const gone = new AbortController();
  const response = await fetch(url, {
    headers, signal: AbortSignal.any([signal, gone.signal]), credentials: "same-origin", cache: "no-store",
  });
  if (!response.ok) throw new Problem(await reason(response, words));
  let screen = null;
  let isPlaying = false;
  try {
    for await (const { data, mime } of segments(response.body)) {
      if (!video.isConnected) return;
      // The stream tells before it changes. Other codecs can go on where they are, other tracks cannot.
      if (mime && !screen?.change(mime)) {
        screen?.close();
        screen = await Screen.open(video, mime, words);
      }
      await screen.show(data);
      if (!mime && !isPlaying) {
        isPlaying = true;
        tellPlaying();
      }
    }
  } finally {
    gone.abort();
    screen?.close();
  }
}

async function reason(response, words) {
  const text = await response.text();
  try {
    const answer = JSON.parse(text);
    return answer.error?.message ?? answer.message ?? answer.detail ?? text;
  } catch {
    return response.headers.get("content-type")?.startsWith("text/plain") ? text : words.broken;
  }
}

// Whole headers (ftyp, free, moov; with the MIME type that `free` tells) and whole fragments (moof, mdat).
async function* segments(body) {
  const reader = body.getReader();
  let unread = new Uint8Array(0);
  let end = 0;  // Of the boxes that are there whole.
  let mime = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(unread.length + value.length);
    joined.set(unread);
    joined.set(value, unread.length);
    unread = joined;
    while (unread.length >= end + 8) {
      const size = new DataView(unread.buffer, unread.byteOffset + end).getUint32(0);
      if (size < 8) throw new Error("a box of no size");
      if (unread.length < end + size) break;
      const name = String.fromCharCode(...unread.subarray(end + 4, end + 8));
      if (name === "free") mime = new TextDecoder().decode(unread.subarray(end + 8, end + size));
      end += size;
      if (name === "moov" || name === "mdat") {
        yield { data: unread.subarray(0, end), mime: name === "moov" ? mime : "" };
        unread = unread.subarray(end);
        end = 0;
      }
    }
  }
}

// One source of media behind the <video>, for one set of codecs.
class Screen {
  static async open(video, mime, words) {
    if (!MediaSource.isTypeSupported(mime)) throw new Problem(`${words.unable} (${mime})`);
    const source = new MediaSource();
    const address = URL.createObjectURL(source);
    video.src = address;
    await new Promise((opened) => source.addEventListener("sourceopen", opened, { once: true }));
    URL.revokeObjectURL(address);
    return new Screen(video, mime, source);
  }

  constructor(video, mime, source) {
    this.video = video;
    this.mime = mime;
    this.source = source;
    this.buffer = source.addSourceBuffer(mime);
    this.isPlaying = false;
  }

  change(mime) {
    const shape = (type) => [type.split(";")[0], type.split(",").length].join();
    if (shape(mime) !== shape(this.mime) || !MediaSource.isTypeSupported(mime)) return false;
    if (mime !== this.mime) this.buffer.changeType(mime);
    this.mime = mime;
    return true;
  }

  async show(data) {
    const { buffer, video } = this;
    await this.settle(() => buffer.appendBuffer(data));
    const ranges = buffer.buffered;
    if (!ranges.length) return;
    this.keepUp(ranges.start(ranges.length - 1), ranges.end(ranges.length - 1));
    const old = video.currentTime - KEPT_S;
    if (ranges.start(0) < old - KEPT_S) await this.settle(() => buffer.remove(0, old));
  }

  // Also while it is paused or in a hidden tab, so that little is kept, and what is shown then is the present.
  keepUp(start, end) {
    const { video } = this;
    const isInside = video.currentTime >= start && video.currentTime <= end;
    if (!isInside || end - video.currentTime > MAX_LAG_S) video.currentTime = Math.max(start, end - LAG_S);
    if (this.isPlaying) return;
    this.isPlaying = true;
    video.play().catch(() => {
      video.muted = true;  // Sound needs a click first.
      return video.play().catch(() => {});
    });
  }

  settle(act) {
    const settled = new AbortController();
    return new Promise((done, fail) => {
      this.buffer.addEventListener("error", fail, settled);  // Comes before the other.
      this.buffer.addEventListener("updateend", done, settled);
      act();
    }).finally(() => settled.abort());
  }

  close() {
    if (this.source.readyState === "open") this.source.endOfStream();
  }
}
