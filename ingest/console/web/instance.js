// One instance: what it is, what may be switched, its keys, and what its provider must be told.
import { h, fill, field, check, badge, table, button, notice, when, openDialog, actions, copyable } from "./dom.js";
import { call, explain } from "./api.js";
import { openReplay } from "./replay.js";
import { stateOf } from "./instances.js";
import { goToProvider, keyField, consoleAddress, showToken } from "./instance_form.js";

class Instance extends HTMLElement {
  async connectedCallback() {
    this.said = h("div");
    this.content = h("div");
    this.heading = h("h1", { tabindex: "-1" }, `Instance ${this.number}`);
    fill(this, h("p", { class: "crumbs" }, h("a", { href: "#/instances" }, "Instances")), this.heading, this.said, this.content);
    await this.load();
  }

  async load(told) {
    try {
      this.instance = await call("GET", `/instances/${this.number}`);
      this.setup = this.who.role === "admin" ? await call("GET", `/instances/${this.number}/setup`) : null;
      fill(this.said, told ? notice("good", told) : null);
      this.draw();
    } catch (error) {
      fill(this.content);
      fill(this.said, notice("bad", explain(error)));
    }
  }

  // Does a change and shows what has become of it.
  async change(what, told) {
    try {
      await what();
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
      this.said.scrollIntoView({ block: "nearest" });
      if (error.status === 404) fill(this.content);
      return false;
    }
    await this.load(told);
    return true;
  }

  patch(body, told) {
    return this.change(() => call("PATCH", `/instances/${this.number}`, body), told);
  }

  draw() {
    const it = this.instance;
    const may = this.who.role === "admin";
    document.title = `${it.name} - eventrelay console`;
    fill(this.heading, it.name);
    const setting = it.configuration;
    fill(this.content,
      it.problem ? notice("bad", `${it.problem} `, may && it.element.authentication?.type === "oauth2" ? button("Authorize again", () => this.authorize()) : null) : null,
      h("dl", { class: "facts" },
        fact("State", stateOf(it)), fact("Id", String(it.id)), fact("Element", it.element.name ?? it.element.key),
        fact("Created", when(it.createdDate)), fact("By", it.user.emailAddress || `user ${it.user.id}`),
        fact("Tags", it.tags.length ? it.tags.map((tag) => h("span", { class: "tag" }, tag)) : "none")),
      h("p", { class: "actions" },
        it.element.key === "box" ? h("a", { class: "button", href: `#/instances/${it.id}/webhooks` }, "Webhooks") : null,
        h("a", { class: "button", href: `#/events?instance=${it.id}` }, "Its events"),
        h("a", { class: "button", href: `#/endpoints?instance=${it.id}` }, "Its endpoints"),
        may ? (it.disabled
          ? button("Switch on", () => this.change(() => call("PUT", `/instances/${it.id}/enabled`), "The instance is on; what waited is delivered now."))
          : button("Switch off", () => this.change(() => call("DELETE", `/instances/${it.id}/enabled`), "The instance is off. The provider's events are still taken and wait."))) : null,
        may && it.element.authentication?.type === "oauth2" && !it.problem ? button("Authorize again", () => this.authorize()) : null,
        may ? button("Send events again", () => openReplay(it.id, this.subscriptions())) : null,
        may ? button("Rename or tag", () => this.rename()) : null,
        may ? button("Delete", () => this.remove(), { class: "danger" }) : null),
      h("section", { "aria-labelledby": "events-title" }, h("h2", { id: "events-title" }, "Events"),
        h("dl", { class: "facts" },
          fact("Events", it.eventsEnabled ? badge("good", "Enabled") : badge("warn", "Off: taken from the provider, not kept")),
          fact("Event Notification Callback URL", h("code", null, setting["event.notification.callback.url"] ?? "none")),
          fact("Callback Notification Signature Key", setting["event.notification.signature.key"] ? "set" : "none: callbacks are not signed")),
        may ? h("p", { class: "actions" },
          button(it.eventsEnabled ? "Switch events off" : "Switch events on", () => this.switchEvents()),
          button("Change the callback", () => this.changeCallback()),
          button("Rotate the signature key", () => this.rotate()),
          it.delivery?.keys?.length ? button("Drop the former keys", () => this.patch({ delivery: { keys: [] } }, "Only the newest key signs now.")) : null,
          button("New token", () => this.renewToken())) : null),
      it.subscriptions.length ? table("Further subscriptions", [
        { title: "Name", cell: (row) => row.name },
        { title: "URL", cell: (row) => h("code", null, row.url) },
        { title: "Only", cell: (row) => [...(row.filter?.event_types ?? []), ...(row.filter?.object_types ?? [])].join(", ") || "everything" },
      ], it.subscriptions, "") : null,
      this.setup ? this.drawSetup() : null,
      h("details", null, h("summary", null, "Configuration"),
        table("Configuration of this instance", [
          { title: "Key", cell: ([key]) => h("code", null, key) },
          { title: "Value", cell: ([, value]) => h("span", { class: "value" }, value ?? "none") },
        ], Object.entries(setting), "Nothing is configured."),
        h("h3", null, "Delivery"), h("pre", { tabindex: "0" }, JSON.stringify(it.delivery, null, 2))));
  }

  // The ids under which the events of this instance are delivered.
  subscriptions() {
    const it = this.instance;
    const own = it.configuration["event.notification.callback.url"] ? [String(it.id)] : [];
    return [...own, ...it.subscriptions.map((each) => `${it.id}/${each.name}`)];
  }

  drawSetup() {
    const { webhookUrl, v1, v2 } = this.setup;
    return h("section", { "aria-labelledby": "setup-title" }, h("h2", { id: "setup-title" }, "For the provider"),
      copyable("event address", webhookUrl),
      v2 && this.instance.element.key === "box" ? h("p", null, "Box V2: make webhooks on the page Webhooks, or by hand with this address.") : null,
      v1 ? h("details", null, h("summary", null, "Values for Box V1"),
        h("p", null, "In the application's settings at Box, under Webhooks:"),
        copyable("endpoint address", v1.url), copyable("payload format", v1.payloadFormat),
        h("h3", null, "Callback parameters"),
        v1.callbackParameters.map((each) => copyable(`${each.method} ${each.name}`, each.value))) : null);
  }

  switchEvents() {
    const on = !this.instance.eventsEnabled;
    if (on && !this.instance.configuration["event.notification.callback.url"]) return this.changeCallback(true);
    return this.patch({ configuration: { "event.notification.enabled": on } }, on ? "Events are delivered from now on." : "Events are off.");
  }

  async form(title, tone, submit, build) {
    await openDialog(title, (close) => {
      const said = h("div");
      const { content, send } = build();
      return h("form", {
        on: {
          submit: async (event) => {
            event.preventDefault();
            const pressed = event.submitter;
            if (pressed) pressed.disabled = true;
            try {
              await send(close);
              close(true);
            } catch (error) {
              fill(said, notice("bad", explain(error)));
              if (pressed) pressed.disabled = false;
            }
          },
        },
      }, content, said, actions(submit, close, tone));
    });
  }

  async rename() {
    await this.form("Rename or tag", "primary", "Save", () => {
      const name = h("input", { required: true, maxlength: "256", value: this.instance.name, autocomplete: "off" });
      const tags = h("input", { value: this.instance.tags.join(", "), autocomplete: "off" });
      return {
        content: [field("Name", name), field("Tags", tags, "Several with commas between.")],
        send: async () => {
          await call("PATCH", `/instances/${this.number}`, { name: name.value, tags: tags.value.split(",").map((tag) => tag.trim()).filter(Boolean) });
          await this.load("Saved.");
        },
      };
    });
  }

  async changeCallback(enable) {
    await this.form("Change the callback", "primary", "Save", () => {
      const url = h("input", { type: "url", required: true, maxlength: "2048", spellcheck: "false", autocomplete: "off", value: this.instance.configuration["event.notification.callback.url"] ?? "" });
      return {
        content: field("Event Notification Callback URL", url),
        send: async () => {
          const configuration = { "event.notification.callback.url": url.value };
          if (enable) configuration["event.notification.enabled"] = true;
          await call("PATCH", `/instances/${this.number}`, { configuration });
          await this.load("The callback is changed.");
        },
      };
    });
  }

  async rotate() {
    await this.form("Rotate the signature key", "primary", "Use the new key", () => {
      const secret = { type: "password", autocomplete: "off", spellcheck: "false", maxlength: "1024" };
      const fresh = h("input", { ...secret, required: true });
      const former = h("input", { ...secret });
      return {
        content: [keyField("New key", fresh), field("Former key", former, "Give it to have it sign as well until every receiver knows the new one; then drop it here.")],
        send: async () => {
          const body = { configuration: { "event.notification.signature.key": fresh.value } };
          if (former.value) body.delivery = { keys: [former.value] };
          await call("PATCH", `/instances/${this.number}`, body);
          await this.load("Callbacks are signed with the new key.");
        },
      };
    });
  }

  async renewToken() {
    const sure = await openDialog("New token?", (close) => [
      h("p", null, "The present token ends at once: programs that use it are refused until they have the new one."),
      h("div", { class: "actions" }, button("Make a new token", () => close(true), { class: "danger" }), button("Cancel", () => close(false))),
    ]);
    if (!sure) return;
    try {
      const { token } = await call("POST", `/instances/${this.number}/token`);
      await showToken("The new token", token);
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
    }
  }

  async authorize() {
    await this.form("Authorize again", "primary", "Go on to the provider", () => {
      const apiKey = h("input", { required: true, maxlength: "1024", autocomplete: "off", spellcheck: "false" });
      const apiSecret = h("input", { type: "password", maxlength: "1024", autocomplete: "off", spellcheck: "false" });
      return {
        content: [
          h("p", null, "The provider must know this address as a redirect address:"),
          copyable("redirect address", consoleAddress()),
          field("OAuth API Key", apiKey, "The client id, as it is at the provider; it is kept unreadable here."),
          field("OAuth API Secret", apiSecret, "Only if it has changed."),
        ],
        send: async () => {
          const configuration = { "oauth.callback.url": consoleAddress(), "oauth.api.key": apiKey.value };
          if (apiSecret.value) configuration["oauth.api.secret"] = apiSecret.value;
          await goToProvider(this.instance.element.key, apiKey.value, apiSecret.value, { kind: "authorize", id: this.instance.id, body: { configuration } });
        },
      };
    });
  }

  async remove() {
    await this.form("Delete this instance?", "danger", "Delete for good", () => {
      const typed = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
      return {
        content: [
          h("p", null, "Its webhooks at the provider are deleted, its access is given back, and its token ends. Events that wait are not delivered any more. The number is never used again."),
          h("p", null, "Its name is ", h("strong", { class: "value" }, this.instance.name)),
          field("Type its name", typed),
        ],
        send: async () => {
          if (typed.value !== this.instance.name) {
            typed.focus();
            throw new Error("that is not its name; nothing was deleted");
          }
          await call("DELETE", `/instances/${this.number}`);
          location.hash = "#/instances";
        },
      };
    });
  }
}

function fact(name, value) {
  return h("div", null, h("dt", null, name), h("dd", null, value));
}

customElements.define("er-instance", Instance);
