// Sending events again: counted first, then sent at a pace, with its progress and a way to stop it.
import { h, fill, field, button, notice, openDialog } from "./dom.js";
import { call, explain } from "./api.js";

const LOOK_MS = 500;

// A time as the control takes it: local, to the minute.
function local(date) {
  const moved = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return moved.toISOString().slice(0, 16);
}

// `preset`: {event: {id, at}} for one event; else a choice is offered.
export function openReplay(instance, subscriptions, preset = {}) {
  return openDialog(preset.event ? "Send this event again" : "Send events again", (close) => {
    const now = new Date();
    const source = h("select", { name: "source" }, h("option", { value: "dead" }, "Dead letters: what was given up"), h("option", { value: "events" }, "History: all that came"));
    const subscription = h("select", { name: "subscription" }, h("option", { value: "" }, "All of this instance"), subscriptions.map((id) => h("option", { value: id }, id)));
    const from = h("input", { type: "datetime-local", required: true, value: local(new Date(now.getTime() - 24 * 3600_000)) });
    const to = h("input", { type: "datetime-local", required: true, value: local(new Date(now.getTime() + 60_000)) });
    const rate = h("input", { type: "number", min: "1", max: "10000", required: true, value: "100" });
    const said = h("div", { role: "status" });
    const form = h("form", { on: { submit: (event) => { event.preventDefault(); count(); } } });
    let running = null;

    const body = (dryRun) => {
      const asked = { rate: Number(rate.value), dryRun };
      if (subscription.value) asked.subscription = subscription.value;
      if (preset.event) {
        const at = Date.parse(preset.event.at);
        return { ...asked, source: "events", eventIds: [preset.event.id], from: new Date(at - 60_000).toISOString(), to: new Date(at + 60_000).toISOString() };
      }
      return { ...asked, source: source.value, from: new Date(from.value).toISOString(), to: new Date(to.value).toISOString() };
    };
    const run = async (dryRun, told) => {
      try {
        running = await call("POST", `/instances/${instance}/events/replay`, body(dryRun));
        while (running.status === "running" && form.isConnected) {
          fill(said, h("p", null, told(running)), dryRun ? null : button("Stop", () => stop()));
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
          running = await call("GET", `/instances/${instance}/events/replay/${running.id}`);
        }
        return running;
      } catch (error) {
        fill(said, notice("bad", explain(error)));
        return null;
      }
    };
    const stop = async () => {
      try {
        await call("DELETE", `/instances/${instance}/events/replay/${running.id}`);
      } catch (error) {
        fill(said, notice("bad", explain(error)));
      }
    };
    const ended = (state) => {
      if (state.status === "failed") return notice("bad", `It failed: ${state.reason ?? "look into the log of the service"}. ${state.sent} were sent.`);
      if (state.status === "stopped") return notice("warn", `Stopped. ${state.sent} were sent.`);
      return notice("good", `Done: ${state.sent} sent.`);
    };
    const count = async () => {
      const counted = await run(true, (state) => `Counting: ${state.selected} so far...`);
      if (!counted) return;
      if (counted.status !== "finished") {
        fill(said, ended(counted));
        return;
      }
      if (counted.selected === 0) {
        fill(said, notice("warn", "Nothing is selected. Choose a longer time, or the other source."));
        return;
      }
      const send = button(`Send ${counted.selected} again`, async () => {
        const sent = await run(false, (state) => `${state.sent} of ${counted.selected} sent...`);
        if (sent) fill(said, ended(sent));
      }, { class: "primary" });
      fill(said, h("p", null, `${counted.selected} would be sent, each with the id it had.`), send);
      send.focus();
    };
    fill(form,
      preset.event ? null : [field("Which", source), field("From", from), field("To", to)],
      subscriptions.length > 1 ? field("Subscription", subscription) : null,
      field("Events a second", rate),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Count first"), button("Close", () => close(true))),
      said);
    return form;
  });
}

// Sends a choice of dead letters again: counted first, each instance on its own, one after the other.
export function openResend(letters) {
  return openDialog("Send dead letters again", (close) => {
    const rate = h("input", { type: "number", min: "1", max: "10000", required: true, value: "100" });
    const said = h("div", { role: "status" });
    const form = h("form", { on: { submit: (event) => { event.preventDefault(); count(); } } });
    const jobs = new Map();
    for (const letter of letters) {
      const key = `${letter.instanceId} ${letter.subscription}`;
      if (!jobs.has(key)) jobs.set(key, { instance: letter.instanceId, subscription: letter.subscription, ids: new Set(), from: Infinity, to: 0 });
      const job = jobs.get(key);
      const at = Date.parse(letter.at);
      job.ids.add(letter.id);
      job.from = Math.min(job.from, at - 1000);
      job.to = Math.max(job.to, at + 1000);
    }
    const body = (job, dryRun) => ({
      source: "dead", subscription: job.subscription, eventIds: [...job.ids], rate: Number(rate.value), dryRun,
      from: new Date(job.from).toISOString(), to: new Date(job.to).toISOString(),
    });
    let stopped = false;
    const run = async (dryRun, told) => {
      const sum = { selected: 0, sent: 0 };
      for (const job of jobs.values()) {
        let state = await call("POST", `/instances/${job.instance}/events/replay`, body(job, dryRun));
        while (state.status === "running" && form.isConnected) {
          fill(said, h("p", null, told(sum.sent + state.sent)), dryRun ? null : button("Stop", () => { stopped = true; }));
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
          const path = `/instances/${job.instance}/events/replay/${state.id}`;
          state = await call(stopped ? "DELETE" : "GET", path);
        }
        sum.selected += state.selected;
        sum.sent += state.sent;
        if (state.status === "failed") throw new Error(state.reason ?? "look into the log of the service");
        if (stopped) break;
      }
      return sum;
    };
    const told = async (what) => {
      try {
        return await what();
      } catch (error) {
        fill(said, notice("bad", explain(error)));
        return null;
      }
    };
    const count = () => told(async () => {
      stopped = false;
      const counted = await run(true, () => "Counting...");
      if (counted.selected === 0) {
        fill(said, notice("warn", "None of them is kept any more: nothing can be sent."));
        return;
      }
      const send = button(`Send ${counted.selected} again`, () => told(async () => {
        const done = await run(false, (sent) => `${sent} of ${counted.selected} sent...`);
        fill(said, notice(stopped ? "warn" : "good", stopped ? `Stopped. ${done.sent} were sent.` : `Done: ${done.sent} sent.`));
      }), { class: "primary" });
      fill(said, h("p", null, `${counted.selected} would be sent, each with the id it had.`), send);
      send.focus();
    });
    fill(form,
      h("p", null, `${letters.length} chosen, at ${jobs.size} ${jobs.size === 1 ? "subscription" : "subscriptions"}.`),
      field("Events a second", rate),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Count first"), button("Close", () => close(true))),
      said);
    return form;
  });
}
