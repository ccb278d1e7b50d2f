// What the dashboard needs in the browser beside the page framework. No build step, nothing from elsewhere.

// <time-at at="2026-01-31T00:00:00+00:00">: a time in the zone of the browser and the language of the page.
customElements.define("time-at", class extends HTMLElement {
  static observedAttributes = ["at", "seconds"];
  attributeChangedCallback() {
    const at = new Date(this.getAttribute("at"));
    if (isNaN(at)) { this.textContent = ""; return; }
    const language = document.documentElement.lang || undefined;
    const thisYear = at.getFullYear() === new Date().getFullYear();
    const date = { year: thisYear ? undefined : "numeric", month: "short", day: "numeric" };
    const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    if (this.hasAttribute("seconds")) time.second = "2-digit";
    const write = (at, more) => new Intl.DateTimeFormat(language, { ...date, ...time, ...more }).format(at);
    // Where clocks go back, the same time comes twice.
    const isOneOfTwo = [-60, -30, 30, 60].some((minutes) => write(at.getTime() + minutes * 60000) === write(at));
    this.textContent = write(at, isOneOfTwo ? { timeZoneName: "shortOffset" } : {});
    this.title = at.toLocaleString(language, { timeZoneName: "short" });
  }
});

// <live-view active preview thumbnail words-...>: a task as it arrives. A picture every few seconds; the stream itself
// while somebody watches and the page is in front.
const THUMBNAIL_MS = 5000;
customElements.define("live-view", class extends HTMLElement {
  static observedAttributes = ["active"];
  connectedCallback() {
    if (!this.video) {
      this.innerHTML = '<div class="screen"><img alt=""><video muted playsinline></video><p role="status"></p></div><button></button>';
      [this.picture, this.video, this.words, this.button] = ["img", "video", "p", "button"].map((name) => this.querySelector(name));
      this.video.muted = true;
      this.wants = true;
      this.button.onclick = () => { this.wants = !this.wants; this.follow(); };
      this.picture.onerror = () => { this.picture.hidden = true; };
      this.picture.onload = () => { this.picture.hidden = false; };
      this.onHidden = () => this.follow();
    }
    document.addEventListener("visibilitychange", this.onHidden);
    this.clock = setInterval(() => this.look(), THUMBNAIL_MS);
    this.follow();
  }
  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onHidden);
    clearInterval(this.clock);
    this.end();
  }
  attributeChangedCallback() { if (this.video) this.follow(); }
  get isActive() { return this.getAttribute("active") === "true"; }
  follow() {
    const watches = this.isActive && this.wants && !document.hidden;
    this.button.hidden = !this.isActive;
    this.button.textContent = this.getAttribute(this.wants ? "words-pause" : "words-watch");
    if (watches && !this.stop) this.begin();
    if (!watches) this.end();
    if (!this.isActive) { this.picture.hidden = true; this.tell(this.getAttribute("words-off")); }
    this.look();
  }
  async begin() {
    const leaving = { left: false };
    this.stop = () => { leaving.left = true; };
    const { play } = await import("/dashboard/static/player.js");
    if (leaving.left) return;
    this.video.hidden = false;
    const words = Object.fromEntries(["ended", "broken", "unable"].map((name) => [name, this.getAttribute("words-" + name)]));
    this.stop = play(this.video, this.getAttribute("preview"), (sentence) => this.tell(sentence), {}, words);
  }
  end() {
    this.stop?.();
    this.stop = null;
    this.video.hidden = true;
    if (this.isActive) this.tell("");
  }
  look() {
    if (!this.isActive || document.hidden || (this.stop && this.video.readyState > 2)) return;
    this.picture.src = this.getAttribute("thumbnail") + "?" + Date.now();
  }
  tell(words) { this.words.textContent = words; this.words.hidden = !words; }
});

// A link that signs in once: its token stands behind the #, which browsers send to nobody.
const once = /^#once=([\w-]+)$/.exec(location.hash);
if (once) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.querySelector("form.sign-in-card");
  if (form) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "once", value: once[1] }));
    form.submit();
  }
}

// The form for new tasks has times of the browser's zone.
document.cookie = "streamferry_zone=" + encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC")
  + "; path=/dashboard; max-age=31536000; samesite=lax";

// <no-contact words="... {time} ... {age} ...">: the bar over a page that has heard nothing for a while. The page greys, and
// nothing of it can be used: the page framework would keep a click and send it when the service is back.
const SILENCE_MS = 5000;
let heardAt = 0;
customElements.define("no-contact", class extends HTMLElement {
  connectedCallback() {
    heardAt = Date.now();  // a page that loads slowly is not a service that is silent
    this.clock = setInterval(() => this.look(), 500);
  }
  disconnectedCallback() { clearInterval(this.clock); }
  look() {
    const isLost = Date.now() - heardAt > SILENCE_MS;
    if (isLost || !this.hidden) {
      document.body.classList.toggle("no-contact", isLost);
      for (const one of document.querySelectorAll(".q-page-container, .q-dialog, .q-menu, .switches")) one.inert = isLost;
    }
    if (isLost && this.hidden) this.since = new Date(heardAt).toLocaleTimeString(document.documentElement.lang, { hourCycle: "h23" });
    this.hidden = !isLost;
    if (isLost) this.textContent = this.getAttribute("words").replace("{time}", this.since).replace("{age}", Math.round((Date.now() - heardAt) / 1000));
  }
});

// What is done on a page arrives once and in order, also what is done before its socket is up, and what is sent into a
// connection that turns out to be dead. Each event has a number and is kept until the service has answered it; after each
// greeting those that are kept are sent (event_order.py passes over what it has heard). The page framework holds back the
// early ones by a timer each, of which the last may come first, and what is lost on the way it does not miss.
let socket;
let sendEvent;
let [isGreeted, wasGreeted] = [false, false];
let numbered = 0;
const unanswered = [];
Object.defineProperty(window, "socket", {
  get: () => socket,
  set: (given) => {
    socket = given;
    const [listen, emit] = [given.on.bind(given), given.emit.bind(given)];
    listen("disconnect", () => { isGreeted = false; });
    // Where nothing answers for long, the page framework would load the page anew, and a form would be empty.
    const isWaiting = (name, word) => name === "connect_error" && word.message === "timeout" && wasGreeted;
    given.on = (name, hear) => listen(name, (...words) => isWaiting(name, words[0]) || hear(...words));
    sendEvent = (event) => emit("event", event, () => {
      while (unanswered.length && unanswered[0].number <= event.number) unanswered.shift();
    });
    given.emit = (name, ...words) => {
      if (name !== "event") return emit(name, ...words);
      const event = { ...words[0], document: window.documentId, number: numbered++ };
      unanswered.push(event);
      if (isGreeted) sendEvent(event);
      return given;
    };
  },
});
Object.defineProperty(window, "did_handshake", {
  get: () => true,
  set: (is) => {
    isGreeted = is;
    wasGreeted ||= is;
    if (is) unanswered.forEach(sendEvent);
  },
});

// A row of a table stays the same elements while what it shows changes: made anew, it loses the focus, and a click that
// began on the old ones. The page framework gives each row a template as a component of its own each time that the table
// is drawn; here it is one component for a template, and the row's key is its identity.
let vue;
const templates = new Map();
Object.defineProperty(window, "Vue", {
  get: () => vue,
  set: (given) => {
    const h = (type, props, ...more) => {
      const isTemplate = typeof type?.template === "string" && Object.keys(type).sort().join() === "props,template";
      if (!isTemplate) return given.h(type, props, ...more);
      if (!templates.has(type.template)) templates.set(type.template, type);
      return given.h(templates.get(type.template), { ...props, key: props?.props?.key }, ...more);
    };
    vue = { ...given, h };
  },
});

// The switch for the language on the page that signs in.
document.addEventListener("click", (event) => {
  const cookie = event.target.closest?.("[data-cookie]")?.dataset.cookie;
  if (!cookie) return;
  document.cookie = `${cookie}; path=/dashboard; max-age=31536000; samesite=lax`;
  location.assign(location.pathname + location.search);
});

// A service that was started anew knows nobody: the page framework would try to come back for ever.
const LOST_LOOK_MS = 3000;
setInterval(async () => {
  if (document.getElementById("popup")?.ariaHidden !== "false") return;
  const form = await fetch("/dashboard/sign-in", { redirect: "manual", cache: "no-store" }).catch(() => null);
  if (form?.ok) location.reload();
}, LOST_LOOK_MS);

window.dashboard = {
  // The service is there, and what the page shows is what there is.
  hear() { heardAt = Date.now(); document.querySelector("no-contact")?.look(); },

  // Drag the picture over the stage; where its top left corner is let go is told as parts of the stage.
  placeMark(stage) {
    const mark = stage.querySelector("img");
    let grip = null;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      const clamp = (value) => Math.min(0.99, Math.max(0, value));
      return { x: clamp((event.clientX - grip.x - box.left) / box.width), y: clamp((event.clientY - grip.y - box.top) / box.height) };
    };
    mark.addEventListener("pointerdown", (event) => {
      const box = mark.getBoundingClientRect();
      grip = { x: event.clientX - box.left, y: event.clientY - box.top };
      mark.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    mark.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const { x, y } = at(event);
      mark.style.left = x * 100 + "%";
      mark.style.top = y * 100 + "%";
    });
    mark.addEventListener("pointerup", (event) => {
      if (!grip) return;
      const detail = at(event);
      grip = null;
      stage.dispatchEvent(new CustomEvent("placed", { detail }));
    });
  },

  // Copy what an element holds; without TLS browsers have no clipboard for scripts, but still what is selected.
  async copy(element) {
    if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent).then(() => true, () => false);
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  },

  // A list was drawn anew: the focus belongs to the address of a line.
  focusItem(list, index) { list.children[index]?.querySelector("input")?.focus(); },

  // Scroll a list to one of its lines, and nothing around it.
  scrollTo(line) {
    const list = line.parentElement;
    if (line.offsetTop < list.scrollTop || line.offsetTop + line.offsetHeight > list.scrollTop + list.clientHeight)
      list.scrollTop = line.offsetTop - (list.clientHeight - line.offsetHeight) / 2;
  },

  // Keep what a page shows in its address, so that it can be reloaded and sent to somebody.
  keepQuery(query) {
    const text = new URLSearchParams(query).toString();
    history.replaceState(history.state, "", location.pathname + (text ? "?" + text : ""));
  },
};
