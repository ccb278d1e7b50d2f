// What the dashboard needs in the browser beside the page framework. No build step, nothing from elsewhere.

// <time-at at="2026-01-31T00:00:00+00:00">: a time in the zone of the browser and the language of the page.
customElements.define("time-at", class extends HTMLElement {
  static observedAttributes = ["at"];
  attributeChangedCallback() {
    const at = new Date(this.getAttribute("at"));
    if (isNaN(at)) { this.textContent = ""; return; }
    const language = document.documentElement.lang || undefined;
    const thisYear = at.getFullYear() === new Date().getFullYear();
    const date = { year: thisYear ? undefined : "numeric", month: "short", day: "numeric" };
    const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    if (this.hasAttribute("seconds")) time.second = "2-digit";
    this.textContent = new Intl.DateTimeFormat(language, { ...date, ...time }).format(at);
    this.title = at.toLocaleString(language, { timeZoneName: "short" });
  }
});

window.dashboard = {
  // Keep what a page shows in its address, so that it can be reloaded and sent to somebody.
  keepQuery(query) {
    const text = new URLSearchParams(query).toString();
    history.replaceState(history.state, "", location.pathname + (text ? "?" + text : ""));
  },
};
