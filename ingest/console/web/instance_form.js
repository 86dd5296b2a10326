// A new instance: the fields of the provider's page; an element with OAuth goes by its provider.
import { h, fill, field, check, button, notice, openDialog, copyable } from "./dom.js";
import { call, consoleCall, explain, query } from "./api.js";

export function consoleAddress() {
  return location.origin + location.pathname;
}

// 32 random bytes for a signature key.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes));
}

// Sends the user to the provider; `draft` waits at the service meanwhile.
export async function goToProvider(element, apiKey, apiSecret, draft) {
  const { state } = await consoleCall("PUT", "draft", draft);
  const { oauthUrl } = await call("GET", `/elements/${element}/oauth/url` + query({ apiKey, callbackUrl: consoleAddress(), state }));
  if (!/^https?:/.test(oauthUrl)) throw new Error("the provider's address is not one of the web");
  location.assign(oauthUrl);
}

export function keyField(label, input, hint) {
  const shown = h("span", { role: "status", class: "done" });
  return h("div", { class: "with-button" }, field(label, input, hint),
    button("Generate", async () => {
      input.value = newKey();
      shown.textContent = "Made";
      await openDialog("A new key", (close) => [
        h("p", null, "Give this to whoever verifies the callbacks. It is never shown again."),
        copyable("key", input.value),
        h("div", { class: "actions" }, button("I have it", () => close(true), { class: "primary" })),
      ]);
    }, { "aria-label": `Generate ${label}` }), shown);
}

// The one time that a token is shown.
export function showToken(title, token) {
  return openDialog(title, (close) => [
    h("p", null, "This is its token. It is shown this once and is not kept in a readable form; whoever has it may call the API for this instance."),
    copyable("token", token),
    h("div", { class: "actions" }, button("I have it", () => close(true), { class: "primary" })),
  ]);
}

class InstanceForm extends HTMLElement {
  async connectedCallback() {
    fill(this, h("h1", { tabindex: "-1" }, "Create an instance"), h("p", { role: "status" }, "Loading..."));
    let elements;
    try {
      elements = await call("GET", "/elements");
    } catch (error) {
      fill(this, h("h1", { tabindex: "-1" }, "Create an instance"), notice("bad", explain(error)));
      return;
    }
    this.draw(elements);
  }

  draw(elements) {
    const secret = { type: "password", autocomplete: "off", spellcheck: "false" };
    const element = h("select", { name: "element" }, elements.map((each) => h("option", { value: each.key }, each.name)));
    const name = h("input", { name: "name", required: true, maxlength: "256", autocomplete: "off" });
    const tags = h("input", { name: "tags", autocomplete: "off" });
    const apiKey = h("input", { name: "oauth.api.key", required: true, maxlength: "1024", autocomplete: "off", spellcheck: "false" });
    const apiSecret = h("input", { ...secret, name: "oauth.api.secret", required: true, maxlength: "1024" });
    const enabled = h("input", { type: "checkbox", name: "event.notification.enabled", checked: true });
    const callback = h("input", { type: "url", name: "event.notification.callback.url", required: true, maxlength: "2048", autocomplete: "off", spellcheck: "false" });
    const key = h("input", { ...secret, name: "event.notification.signature.key", maxlength: "1024" });
    const vendor = h("input", { ...secret, name: "event.vendor.signature.key", maxlength: "1024" });
    const vendorSecond = h("input", { ...secret, name: "event.vendor.signature.key.secondary", maxlength: "1024" });
    const said = h("div");
    const submit = h("button", { type: "submit", class: "primary" });
    const oauth = h("fieldset", null, h("legend", null, "Access to the provider"),
      h("p", null, "The provider must know this address as a redirect address of your application:"),
      copyable("redirect address", consoleAddress()),
      field("OAuth API Key", apiKey, "The client id of your application at the provider."),
      field("OAuth API Secret", apiSecret, "Its client secret."));
    const chosen = () => elements.find((each) => each.key === element.value);
    const byOauth = () => chosen()?.authentication.type === "oauth2";
    const adapt = () => {
      oauth.hidden = !byOauth();
      apiKey.required = apiSecret.required = byOauth();
      callback.required = enabled.checked;
      submit.textContent = byOauth() ? `Go on to ${chosen().name}` : "Create";
    };
    element.addEventListener("change", adapt);
    enabled.addEventListener("change", adapt);
    const body = () => {
      const configuration = { "event.notification.enabled": enabled.checked };
      if (callback.value) configuration["event.notification.callback.url"] = callback.value;
      if (key.value) configuration["event.notification.signature.key"] = key.value;
      if (vendor.value) configuration["event.vendor.signature.key"] = vendor.value;
      if (vendorSecond.value) configuration["event.vendor.signature.key.secondary"] = vendorSecond.value;
      if (byOauth()) {
        configuration["oauth.callback.url"] = consoleAddress();
        configuration["oauth.api.key"] = apiKey.value;
        configuration["oauth.api.secret"] = apiSecret.value;
      }
      const list = tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
      return { element: { key: element.value }, name: name.value, tags: list, configuration };
    };
    const form = h("form", {
      on: {
        submit: async (event) => {
          event.preventDefault();
          submit.disabled = true;
          fill(said);
          try {
            if (byOauth()) {
              await goToProvider(element.value, apiKey.value, apiSecret.value, { kind: "create", body: body() });
              return;
            }
            const made = await call("POST", "/instances", body());
            location.hash = `#/instances/${made.id}`;
            await showToken(`Instance ${made.id} is made`, made.token);
          } catch (error) {
            fill(said, notice("bad", explain(error)));
            submit.disabled = false;
            submit.focus();
          }
        },
      },
    },
    field("Element", element), field("Name", name), field("Tags", tags, "Several with commas between."),
    h("fieldset", null, h("legend", null, "Events"),
      check("Events Enabled", enabled),
      field("Event Notification Callback URL", callback, "Where the events of this instance are sent."),
      keyField("Callback Notification Signature Key", key, "Signs every callback; without one they are not signed."),
      field("Provider's signature key", vendor, "The primary key with which the provider signs; empty: that of the service."),
      field("Provider's second signature key", vendorSecond)),
    oauth, said, h("div", { class: "actions" }, submit, h("a", { class: "button", href: "#/instances" }, "Cancel")));
    adapt();
    fill(this, h("h1", { tabindex: "-1" }, "Create an instance"), form);
    this.querySelector("h1").focus();
  }
}
customElements.define("er-instance-form", InstanceForm);
