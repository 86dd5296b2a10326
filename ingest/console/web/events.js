// Events as they come, newest first, and one event with all that became of it.
import { h, fill, field, badge, table, button, notice, when } from "./dom.js";
import { openReplay } from "./replay.js";
import { call, page, consoleCall, explain, query } from "./api.js";

const SHOWN_MAX = 200;
const SILENT_MS = 10_000;

const STATES = {
  pending: ["warn", "On its way"],
  delivered: ["good", "Delivered"],
  retry: ["warn", "Tried, again later"],
  dead: ["bad", "Given up"],
  queued: ["off", "Waits: subscription off"],
  filtered: ["off", "Not wanted"],
};

// How an attempt ended, in words.
const OUTCOMES = {
  ok: "delivered", http_3xx: "redirected", http_4xx: "answered 4xx", http_5xx: "answered 5xx", timeout: "no answer in time",
  connect: "not reached", tls: "TLS failed", dns: "its name is not known", blocked: "its address is not allowed",
  reset: "the connection broke", protocol: "its answer was not HTTP", gone: "answered 410: gone", too_large: "too large",
  auth: "its token endpoint failed",
};

export function outcomeText(word) {
  return OUTCOMES[word] ?? word;
}

export function stateBadge(state) {
  const [tone, text] = STATES[state] ?? ["off", state];
  return badge(tone, text);
}

function statesOf(event) {
  if (event.notifiedData.length === 0) return badge("off", "Nobody wants it");
  const counts = new Map();
  for (const each of event.notifiedData) counts.set(each.state, (counts.get(each.state) ?? 0) + 1);
  return [...counts].map(([state, count]) => [stateBadge(state), count > 1 ? h("small", null, `at ${count} subscriptions`) : null]);
}

function receivedOf(event) {
  return event.received ?? event.eventElementInstances?.[0]?.createdDate ?? event.eventDate;
}

class Events extends HTMLElement {
  rows = [];
  next = null;
  live = true;

  connectedCallback() {
    this.instance = h("input", { name: "instance", inputmode: "numeric", pattern: "[0-9]{1,20}", autocomplete: "off", value: this.match[1] ?? "" });
    this.state = h("select", { name: "state" }, h("option", { value: "" }, "Any state"),
      Object.entries(STATES).map(([value, [, text]]) => h("option", { value }, text)));
    this.kind = h("select", { name: "type" }, h("option", { value: "" }, "Any type"),
      ["CREATED", "UPDATED", "DELETED", "UNKNOWN"].map((word) => h("option", { value: word }, word)));
    this.said = h("div");
    this.counted = h("p", { role: "status" });
    this.list = h("div");
    this.more = h("div", { class: "actions" });
    this.toggle = button("Pause", () => this.setLive(!this.live));
    fill(this,
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Events"), this.toggle),
      h("form", { class: "filter", on: { submit: (event) => { event.preventDefault(); this.restart(); } } },
        field("Instance (its number)", this.instance), field("State", this.state), field("Type", this.kind),
        h("button", { type: "submit" }, "Show")),
      this.said, this.counted, this.list, this.more);
    this.state.addEventListener("change", () => this.draw());
    this.kind.addEventListener("change", () => this.draw());
    this.onVisible = () => this.listen();
    document.addEventListener("visibilitychange", this.onVisible);
    this.restart();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onVisible);
    this.source?.close();
    clearTimeout(this.again);
  }

  path(next) {
    const number = this.instance.value.trim();
    return (number ? `/instances/${number}/events` : "/instances/events") + query({ pageSize: 50, nextPage: next });
  }

  async restart() {
    this.source?.close();
    this.source = null;
    this.newest = 0;
    fill(this.said);
    try {
      const answer = await page(this.path(null));
      this.rows = answer.body;
      this.next = answer.next;
      this.draw();
    } catch (error) {
      this.rows = [];
      fill(this.list);
      fill(this.said, notice("bad", explain(error)));
      return;
    }
    this.listen();
  }

  setLive(on) {
    this.live = on;
    this.toggle.textContent = on ? "Pause" : "Go on";
    this.listen();
  }

  // A tab that nobody looks at, or that is paused, asks for nothing.
  listen() {
    const wanted = this.live && document.visibilityState === "visible" && this.isConnected;
    if (!wanted) {
      this.source?.close();
      this.source = null;
      return;
    }
    if (this.source) return;
    const source = new EventSource("/console/live" + query({ instance: this.instance.value.trim() }));
    this.source = source;
    this.heard = Date.now();
    source.addEventListener("open", () => {
      this.heard = Date.now();
    });
    source.addEventListener("events", (event) => this.take(JSON.parse(event.data)));
    source.addEventListener("trouble", (event) => fill(this.said, notice("warn", `${JSON.parse(event.data).message}. It is tried again.`)));
    source.addEventListener("error", () => this.onEnd(source));
  }

  // Each answer ends, and the browser asks again by itself; only what lasts is told.
  async onEnd(source) {
    if (source !== this.source) return;
    if (source.readyState === EventSource.CLOSED) {
      this.source = null;
      try {
        await consoleCall("GET", "session");
      } catch (error) {
        if (error.status === 401) {
          await call("GET", "/elements").catch(() => {});
          return;
        }
      }
      this.again = setTimeout(() => this.listen(), 5000);
    }
    if (Date.now() - this.heard > SILENT_MS) fill(this.said, notice("warn", "The service does not answer; it is tried again by itself."));
  }

  take(data) {
    fill(this.said, data.more ? notice("warn", "More events come than are shown here; these are the newest of them. Choose an instance to see less.") : null);
    const known = new Set(data.events.map((each) => each.id));
    const before = this.rows.length;
    const fresh = data.events.filter((each) => !this.rows.some((row) => row.id === each.id)).length;
    this.rows = [...data.events, ...this.rows.filter((row) => !known.has(row.id))].slice(0, Math.max(SHOWN_MAX, before));
    if (this.rows.length > SHOWN_MAX) this.rows.length = SHOWN_MAX;
    if (fresh > 0 || data.events.length > 0) this.draw(fresh);
  }

  async loadOlder() {
    try {
      const answer = await page(this.path(this.next));
      this.setLive(false);
      const known = new Set(this.rows.map((row) => row.id));
      this.rows = this.rows.concat(answer.body.filter((row) => !known.has(row.id)));
      this.next = answer.next;
      this.draw();
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
    }
  }

  draw(fresh) {
    const rows = this.rows.filter((row) =>
      (!this.state.value || row.notifiedData.some((each) => each.state === this.state.value)) &&
      (!this.kind.value || row.eventType === this.kind.value));
    const focused = this.list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    fill(this.list, table("Events, newest first", [
      { title: "Received", cell: (row) => h("a", { href: `#/events/${row.instanceId}/${encodeURIComponent(row.id)}/${receivedOf(row)}` }, when(receivedOf(row))) },
      { title: "Instance", cell: (row) => h("a", { href: `#/instances/${row.instanceId}` }, String(row.instanceId)) },
      { title: "Type", cell: (row) => row.eventType ?? "several" },
      { title: "Object", cell: (row) => [row.objectType, row.objectId].filter(Boolean).join(" ") || "several" },
      { title: "State", cell: (row) => statesOf(row) },
    ], rows, this.rows.length ? "No event shown here fits." : "There was no event in the last 24 hours."));
    if (focused) [...this.list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
    this.counted.textContent = `${rows.length} shown${fresh ? `, ${fresh} of them new` : ""}`;
    fill(this.more, this.next ? button("Show older", () => this.loadOlder()) : null);
  }
}
customElements.define("er-events", Events);

class EventDetail extends HTMLElement {
  async connectedCallback() {
    this.content = h("div");
    this.said = h("div");
    fill(this,
      h("p", { class: "crumbs" }, h("a", { href: "#/events" }, "Events")),
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Event"), h("div", { class: "actions" },
        button("Look again", () => this.load()),
        this.who.role === "admin" ? button("Send again", () => this.again()) : null)),
      this.said, this.content);
    await this.load();
  }

  async again() {
    if (!this.event) return;
    const { instanceId, id, notifiedData, eventElementInstances } = this.event;
    const wanted = notifiedData.filter((each) => each.state !== "filtered").map((each) => each.subscription);
    await openReplay(instanceId, wanted, { event: { id, at: eventElementInstances[0].createdDate } });
    if (this.isConnected) await this.load();
  }

  async load() {
    const [, instance, id, at] = this.match;
    const time = at ? Date.parse(at) : NaN;
    // Near the time at which it came little has to be read.
    const near = Number.isNaN(time) ? {} : { from: new Date(time - 1000).toISOString(), to: new Date(time + 1000).toISOString() };
    try {
      this.draw(await call("GET", `/instances/${instance}/events/${id}` + query(near)));
      fill(this.said);
    } catch (error) {
      fill(this.content);
      fill(this.said, notice("bad", explain(error)));
    }
  }

  draw(event) {
    this.event = event;
    let body = event.providerData;
    try {
      body = JSON.stringify(JSON.parse(body), null, 2);
    } catch {
      // It is shown as it came.
    }
    const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));
    fill(this.content,
      h("dl", { class: "facts" },
        fact("Id", h("code", null, event.id)), fact("Status", event.status),
        fact("Received", when(event.eventElementInstances[0].createdDate)),
        fact("Instance", h("a", { href: `#/instances/${event.instanceId}` }, String(event.instanceId))),
        fact("Element", event.elementKey)),
      h("h2", null, "Normal form"),
      h("dl", { class: "facts" },
        fact("Event type", event.eventType ?? "several objects: see the body"), fact("Object type", event.objectType ?? "-"),
        fact("Object id", event.objectId ?? "-"), fact("Date", event.eventDate)),
      h("h2", null, "What became of it"),
      event.notifiedData.length === 0 ? h("p", { class: "empty" }, "No subscription wants it.") : event.notifiedData.map((each) =>
        h("section", { class: "fate" }, h("h3", null, `Subscription ${each.subscription} `, stateBadge(each.state)),
          each.attempts.length ? table(`Attempts at ${each.subscription}`, [
            { title: "Attempt", cell: (row) => String(row.attempt) },
            { title: "At", cell: (row) => when(row.at) },
            { title: "Outcome", cell: (row) => row.status ? `${outcomeText(row.outcome)} (${row.status})` : outcomeText(row.outcome) },
            { title: "Took", cell: (row) => `${row.ms} ms` },
            { title: "Then", cell: (row) => ({ done: "delivered", retry: "tried again later", dead: "given up" })[row.next] ?? row.next },
          ], each.attempts, "") : h("p", null, each.state === "delivered" ? "Delivered at the first attempt." : "There was no attempt that failed."))),
      h("h2", null, "Body, as the provider sent it"),
      h("pre", { tabindex: "0", "aria-label": "Body of the event" }, body));
  }
}
customElements.define("er-event", EventDetail);
