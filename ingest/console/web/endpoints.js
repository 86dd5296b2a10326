// Where events go: how each endpoint does and what waits for it; and the dead letters.
import { h, fill, field, badge, table, button, notice, when } from "./dom.js";
import { call, consolePage, explain, query } from "./api.js";
import { outcomeText, stateBadge } from "./events.js";
import { PagedList } from "./paged_list.js";
import { openResend } from "./replay.js";

const STATES = {
  on: ["good", "On"],
  retrying: ["warn", "Tried again"],
  blocked: ["warn", "Objects wait"],
  away: ["warn", "Away"],
  off: ["bad", "Off"],
  instance: ["off", "Instance off"],
};

const REASONS = {
  by_hand: "switched off by hand", exhausted: "its schedule was used up", gone: "it answered 410",
  breaker_open: "it fails too often", queue_full: "its queue was full", others_wait: "others would have waited for it",
  window_full: "others would have waited for it", no_answer: "it does not answer", blocked_max: "too many of its objects wait",
};

function health(row) {
  const [tone, text] = STATES[row.state] ?? ["off", row.state];
  const why = row.reason ? `: ${REASONS[row.reason] ?? outcomeText(row.reason)}` : "";
  return [badge(tone, text), row.since ? h("small", null, "since ", when(row.since), why) : null];
}

function waiting(row) {
  const parts = [];
  if (row.parked > 0) parts.push(`${row.parked} to be tried again`);
  if (row.state === "blocked") parts.push(`events of ${row.objects} objects`);
  if (row.behind > 0) parts.push(`at most ${row.behind} in the log`);
  return parts.length ? parts.join("; ") : "nothing";
}

function instanceField(value) {
  return h("input", { name: "instance", inputmode: "numeric", pattern: "[0-9]{1,20}", autocomplete: "off", value: value ?? "" });
}

class Endpoints extends PagedList {
  connectedCallback() {
    this.instance = instanceField(this.match[1]);
    this.which = h("select", { name: "which" }, h("option", { value: "" }, "All"), h("option", { value: "1" }, "Those with trouble"));
    fill(this,
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Endpoints"), button("Look again", () => this.load())),
      h("form", { class: "filter", on: { submit: (event) => { event.preventDefault(); this.load(); } } },
        field("Instance (its number)", this.instance), field("Which", this.which), h("button", { type: "submit" }, "Show")),
      this.said, this.list, this.more);
    this.which.addEventListener("change", () => this.load());
    this.load();
  }

  readPage(next) {
    return consolePage("data/endpoints" + query({ instance: this.instance.value.trim(), trouble: this.which.value, nextPage: next }));
  }

  async turn(row, on) {
    const name = row.subscription.includes("/") ? row.subscription.slice(row.subscription.indexOf("/") + 1) : "callback";
    try {
      await call(on ? "PUT" : "DELETE", `/instances/${row.instanceId}/subscriptions/${encodeURIComponent(name)}/enabled`);
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
      return;
    }
    const told = on
      ? `${row.subscription} is switched on: what waited goes out now. Look again in some seconds.`
      : `${row.subscription} is switched off: its events wait until it is on again.`;
    await this.load({ told });
  }

  draw() {
    const may = this.who.role === "admin";
    const action = (row) => {
      if (row.state === "instance") return h("a", { href: `#/instances/${row.instanceId}` }, "Switch the instance on");
      const on = row.state === "off";
      return button(on ? "Switch on" : "Switch off", () => this.turn(row, on), { "aria-label": `${on ? "Switch on" : "Switch off"} ${row.subscription}`, class: on ? "primary" : null });
    };
    fill(this.list, table("Endpoints of this account", [
      { title: "Subscription", cell: (row) => [h("a", { href: `#/instances/${row.instanceId}` }, row.name || row.subscription), h("small", null, row.subscription)] },
      { title: "Address", cell: (row) => h("code", null, row.url) },
      { title: "Health", cell: health },
      { title: "Waiting", cell: waiting },
      { title: "Last hour", cell: (row) => [`${row.delivered} delivered, ${row.failed} failed`, h("small", null, "attempts at all endpoints of the instance")] },
      { title: "Dead letters", cell: (row) => h("a", { href: `#/dead?instance=${row.instanceId}`, "aria-label": `Dead letters of ${row.name || row.instanceId}` }, "Show") },
      may ? { title: "Switch", cell: action } : null,
    ].filter(Boolean), this.rows, this.which.value ? "No endpoint has trouble." : "There is no endpoint yet."));
    this.drawMore("Show more");
  }
}
customElements.define("er-endpoints", Endpoints);

class DeadLetters extends PagedList {
  connectedCallback() {
    this.instance = instanceField(this.match[1]);
    this.chosen = new Set();
    this.send = button("Send the chosen again", () => this.again(), { class: "primary", disabled: true });
    fill(this,
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Dead letters"), h("div", { class: "actions" },
        button("Look again", () => this.load()), this.who.role === "admin" ? this.send : null)),
      h("p", null, "Events that were given up: the subscriber answered 410 or a status that is final for it, or every attempt of the schedule failed. They are kept for 30 days."),
      h("form", { class: "filter", on: { submit: (event) => { event.preventDefault(); this.load(); } } },
        field("Instance (its number)", this.instance), h("button", { type: "submit" }, "Show")),
      this.said, this.list, this.more);
    this.load();
  }

  readPage(next) {
    return consolePage("data/dead" + query({ instance: this.instance.value.trim(), nextPage: next }));
  }

  async load() {
    this.chosen.clear();
    await super.load();
    this.count();
  }

  async again() {
    await openResend([...this.chosen]);
    if (this.isConnected) await this.load();
  }

  count() {
    this.send.disabled = this.chosen.size === 0;
    this.send.textContent = this.chosen.size ? `Send ${this.chosen.size} chosen again` : "Send the chosen again";
  }

  choose(row, on) {
    if (on) this.chosen.add(row);
    else this.chosen.delete(row);
    this.count();
  }

  draw() {
    const may = this.who.role === "admin";
    const box = (row) => {
      const input = h("input", { type: "checkbox", "aria-label": `Choose ${row.id} at ${row.subscription}`, on: { change: () => this.choose(row, input.checked) } });
      input.checked = this.chosen.has(row);
      return input;
    };
    const all = button("Choose all shown", () => {
      for (const row of this.rows) if (row.state === "dead") this.chosen.add(row);
      this.draw();
      this.count();
    });
    fill(this.list, table("Dead letters, newest first", [
      { title: "Given up", cell: (row) => h("a", { href: `#/events/${row.instanceId}/${encodeURIComponent(row.id)}/${row.received}` }, when(row.at)) },
      { title: "Subscription", cell: (row) => h("a", { href: `#/endpoints?instance=${row.instanceId}` }, row.subscription) },
      { title: "Reason", cell: (row) => [outcomeText(row.reason), h("small", null, `after ${row.attempts} ${row.attempts === 1 ? "attempt" : "attempts"}`)] },
      { title: "Event", cell: (row) => [row.eventType || "several", h("small", null, [row.objectType, row.objectId].filter(Boolean).join(" ") || "several objects")] },
      { title: "Now", cell: (row) => stateBadge(row.state) },
      may ? { title: "Choose", cell: box } : null,
    ].filter(Boolean), this.rows, this.next ? "None among the newest records that were read." : "There is no dead letter."));
    this.drawMore("Show older", may && this.rows.length ? all : null);
  }
}
customElements.define("er-dead", DeadLetters);
