// The sign-in page: user and organization secret against a session.
import { h, field, fill, notice } from "./dom.js";
import { consoleCall, explain } from "./api.js";

class SignIn extends HTMLElement {
  // Set before it is connected: what to say above the form.
  reason = "";

  connectedCallback() {
    const user = h("input", { type: "password", name: "user", required: true, autocomplete: "username", spellcheck: "false" });
    const organization = h("input", { type: "password", name: "organization", required: true, autocomplete: "current-password", spellcheck: "false" });
    const said = h("div");
    const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
    const form = h("form", {
      on: {
        submit: async (event) => {
          event.preventDefault();
          submit.disabled = true;
          fill(said);
          try {
            const who = await consoleCall("POST", "session", { user: user.value, organization: organization.value });
            this.dispatchEvent(new CustomEvent("signed-in", { detail: who, bubbles: true }));
          } catch (error) {
            const text = error.status === 401
              ? "Wrong: no user and organization have these two secrets. Check both; the operator has them in control.organizations."
              : explain(error);
            fill(said, notice("bad", text));
            organization.value = "";
            user.focus();
          } finally {
            submit.disabled = false;
          }
        },
      },
    },
    field("User secret", user), field("Organization secret", organization), submit);
    fill(this, h("main", { class: "narrow", id: "main" },
      h("h1", { tabindex: "-1" }, "Sign in to eventrelay"),
      this.reason ? notice("warn", this.reason) : null, said, form));
    user.focus();
  }
}
customElements.define("er-sign-in", SignIn);
