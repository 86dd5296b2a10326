// All at a glance: what comes in and goes out, how fast, what fails, and how the registry does.
import { h, fill, shape, badge, table, notice, when } from "./dom.js";
import { consoleCall, explain } from "./api.js";

const LOOK_MS = 5000;
const HEIGHT = 60;

const number = (count) => count.toLocaleString();
const within = (ms) => (ms === null ? "-" : ms < 1000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`);
const clock = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

// Bars, one a minute; `parts`: [{of(minute), tone, name}], from the bottom up.
function chart(title, minutes, parts) {
  const sums = minutes.map((minute) => parts.reduce((sum, part) => sum + part.of(minute), 0));
  const top = Math.max(...sums, 1);
  const bars = minutes.flatMap((minute, index) => {
    let y = HEIGHT;
    return parts.map((part) => {
      const height = (part.of(minute) / top) * HEIGHT;
      y -= height;
      return height > 0 ? shape("rect", { x: index * 4, y, width: 3, height, class: part.tone }) : null;
    });
  });
  const all = sums.reduce((sum, each) => sum + each, 0);
  return h("figure", null,
    h("figcaption", null, h("strong", null, title), h("small", null, `at most ${number(top)} a minute`)),
    shape("svg", { viewBox: `0 0 ${minutes.length * 4} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${all} in the last hour` }, bars),
    h("div", { class: "axis" }, h("span", null, clock(minutes[0].at)), h("span", null, "now")),
    parts.length > 1 ? h("small", null, parts.map((part) => h("span", { class: "key" },
      shape("svg", { viewBox: "0 0 4 4", "aria-hidden": "true" }, shape("rect", { width: 4, height: 4, class: part.tone })), part.name))) : null);
}

function card(name, value, hint) {
  return h("div", { class: "card" }, h("dt", null, name), h("dd", null, value, hint ? h("small", null, hint) : null));
}

class Overview extends HTMLElement {
  connectedCallback() {
    this.said = h("div");
    this.content = h("div");
    this.minutes = h("details", null, h("summary", null, "The last hour in numbers"), this.numbers = h("div"));
    fill(this,
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Overview"), this.seen = h("small", null, "")),
      this.said, this.content, this.minutes);
    this.minutes.hidden = true;
    this.minutes.addEventListener("toggle", () => this.drawNumbers());
    this.onVisible = () => this.look();
    document.addEventListener("visibilitychange", this.onVisible);
    this.look();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onVisible);
    clearTimeout(this.timer);
  }

  // A tab that nobody looks at asks for nothing.
  async look() {
    clearTimeout(this.timer);
    if (this.asking || document.visibilityState !== "visible") return;
    this.asking = true;
    try {
      this.draw(await consoleCall("GET", "data/overview"));
      fill(this.said);
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
    }
    this.asking = false;
    if (this.isConnected) this.timer = setTimeout(() => this.look(), LOOK_MS);
  }

  draw(data) {
    this.data = data;
    const sum = (name) => data.minutes.reduce((total, minute) => total + minute[name], 0);
    // The minute that is under way would look like a fall.
    const last = data.minutes.at(-2) ?? data.minutes.at(-1);
    const rate = (name) => `${last[name] === 0 ? 0 : (last[name] / 60).toFixed(last[name] < 600 ? 2 : 0)} a second`;
    const { endpoints, registry } = data;
    const failed = sum("failed");
    const attempts = failed + sum("delivered");
    const idle = data.unread > 1000 && last.delivered + last.failed === 0;
    fill(this.content,
      idle ? notice("bad", `${number(data.unread)} events wait and nothing is delivered: look whether eventrelay-relay runs.`) : null,
      registry.writable ? null : notice("warn", "This process may not change anything now: another one holds the control role, or Kafka is away."),
      h("dl", { class: "cards" },
        card("Came in", number(sum("events")), `in the last hour; ${rate("events")} in the last minute`),
        card("Delivered", number(sum("delivered")), `in the last hour; ${rate("delivered")} in the last minute`),
        card("Failed attempts", failed > 0 ? badge("bad", number(failed)) : "0", attempts ? `${((failed / attempts) * 100).toFixed(1)} % of all attempts of the hour` : "in the last hour"),
        card("Half delivered within", within(data.half), "from receipt to the subscriber's answer"),
        card("99 of 100 within", within(data.most), "over the last hour"),
        card("Not yet taken up", number(data.unread), "events in the log that no worker is done with; of all accounts")),
      h("div", { class: "charts" },
        chart("Came in", data.minutes, [{ of: (minute) => minute.events, tone: "in" }]),
        chart("Attempts", data.minutes, [{ of: (minute) => minute.delivered, tone: "out", name: "delivered" }, { of: (minute) => minute.failed, tone: "failed", name: "failed" }])),
      h("h2", null, "Endpoints"),
      h("dl", { class: "cards" },
        card("Off", endpoints.off > 0 ? badge("bad", number(endpoints.off)) : "0", h("a", { href: "#/endpoints" }, "Switch on at Endpoints")),
        card("Away", endpoints.away > 0 ? badge("warn", number(endpoints.away)) : "0", "their events wait in the log"),
        card("Waiting to be tried again", `${number(endpoints.parked)}${endpoints.parkedWhole ? "" : " or more"}`, "events in the delay topics")),
      h("h2", null, "Registry"),
      h("dl", { class: "cards" },
        card("Instances", number(registry.instances), h("a", { href: "#/instances" }, "All instances")),
        card("Switched off", number(registry.off)),
        card("Need authorization", registry.invalid > 0 ? badge("bad", number(registry.invalid)) : "0"),
        card("Changes", registry.writable ? badge("good", "Taken here") : badge("warn", "Not here"), registry.writable ? "this process holds the control role" : "another process holds the control role"),
        card("Sent again right now", number(registry.replays), "replays that run")));
    this.seen.replaceChildren("As of ", when(data.now));
    this.minutes.hidden = false;
    this.drawNumbers();
  }

  drawNumbers() {
    if (!this.minutes.open || !this.data) return;
    fill(this.numbers, table("By minute, newest first", [
      { title: "Minute", cell: (row) => clock(row.at) },
      { title: "Came in", cell: (row) => number(row.events) },
      { title: "Delivered", cell: (row) => number(row.delivered) },
      { title: "Failed", cell: (row) => number(row.failed) },
      { title: "Half within", cell: (row) => within(row.half) },
      { title: "99 of 100 within", cell: (row) => within(row.most) },
    ], [...this.data.minutes].reverse().filter((row) => row.events + row.delivered + row.failed > 0), "Nothing came in the last hour."));
  }
}
customElements.define("er-overview", Overview);
