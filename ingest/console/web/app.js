// The frame of the console: who is signed in, which page is shown, and the way back from a provider.
import { h, fill, button, notice } from "./dom.js";
import { call, consoleCall, explain, session } from "./api.js";
import "./sign_in.js";
import "./instances.js";
import { showToken } from "./instance_form.js";
import "./instance.js";
import "./webhooks.js";
import "./events.js";
import "./overview.js";
import "./endpoints.js";

const PAGES = [
  [/^#\/overview$/, "er-overview", "Overview"],
  [/^#\/instances$/, "er-instances", "Instances"],
  [/^#\/instances\/new$/, "er-instance-form", "New instance"],
  [/^#\/instances\/(\d{1,20})$/, "er-instance", "Instance"],
  [/^#\/instances\/(\d{1,20})\/webhooks$/, "er-webhooks", "Webhooks"],
  [/^#\/events(?:\?instance=(\d{1,20}))?$/, "er-events", "Events"],
  [/^#\/endpoints(?:\?instance=(\d{1,20}))?$/, "er-endpoints", "Endpoints"],
  [/^#\/dead(?:\?instance=(\d{1,20}))?$/, "er-dead", "Dead letters"],
  [/^#\/events\/(\d{1,20})\/([\w%.-]{1,200})(?:\/([\w:.-]+))?$/, "er-event", "Event"],
];
const NAVIGATION = [["#/overview", "Overview"], ["#/instances", "Instances"], ["#/events", "Events"], ["#/endpoints", "Endpoints"], ["#/dead", "Dead letters"]];

// What a provider has sent back in the address; it leaves the address at once.
function takeReturn() {
  const given = new URLSearchParams(location.search);
  if (!given.has("state") && !given.has("code") && !given.has("error")) return null;
  history.replaceState(null, "", location.pathname + (location.hash || "#/instances"));
  return { code: given.get("code"), state: given.get("state"), error: given.get("error_description") || given.get("error") };
}

class App extends HTMLElement {
  who = null;
  back = takeReturn();
  asked = false;

  async connectedCallback() {
    addEventListener("hashchange", () => this.show());
    session.addEventListener("over", () => this.askToSignIn("The session is over: it was too long unused, or the service was started again. What you had not sent is not saved."));
    this.addEventListener("signed-in", (event) => this.enter(event.detail));
    try {
      this.enter(await consoleCall("GET", "session"));
    } catch (error) {
      this.askToSignIn(error.status === 401 ? "" : explain(error));
    }
  }

  askToSignIn(reason) {
    if (this.asked) return;
    this.asked = true;
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    const page = h("er-sign-in");
    page.reason = this.back && !reason ? "Sign in to finish what you began at the provider." : reason;
    document.title = "Sign in - eventrelay console";
    fill(this, page);
  }

  enter(who) {
    this.who = who;
    this.asked = false;
    const name = who.user.firstName || who.user.emailAddress || `user ${who.user.id}`;
    this.said = h("div", { class: "said" });
    this.main = h("main", { id: "main" });
    this.links = NAVIGATION.map(([hash, title]) => h("a", { href: hash }, title));
    fill(this,
      h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); this.focusPage(); } } }, "Skip to the page"),
      h("header", null,
        h("span", { class: "brand" }, h("img", { src: "icon.svg", alt: "", width: "24", height: "24" }), "eventrelay"),
        h("nav", { "aria-label": "Pages" }, this.links),
        h("span", { class: "who" }, `${name}, ${who.account.name || `account ${who.account.id}`}${who.role === "viewer" ? " (may only read)" : ""}`),
        button("Sign out", () => this.signOut())),
      this.said, this.main);
    if (!location.hash) history.replaceState(null, "", "#/instances");
    this.classList.toggle("viewer", who.role === "viewer");
    if (this.back) this.finishAtProvider();
    else this.show();
  }

  async signOut() {
    try {
      await consoleCall("DELETE", "session");
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
      return;
    }
    this.askToSignIn("You are signed out.");
  }

  show() {
    if (!this.main || this.asked) return;
    fill(this.said);
    for (const [pattern, tag, title] of PAGES) {
      const found = pattern.exec(location.hash);
      if (!found) continue;
      document.title = `${title} - eventrelay console`;
      const page = h(tag);
      page.id = "page";
      page.number = found[1];
      page.match = found;
      page.who = this.who;
      fill(this.main, page);
      for (const link of this.links) {
        if (location.hash.startsWith(link.getAttribute("href"))) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      this.focusPage();
      return;
    }
    fill(this.main, h("h1", { tabindex: "-1" }, "There is no such page"), h("p", null, h("a", { href: "#/instances" }, "Go to the instances")));
    this.focusPage();
  }

  focusPage() {
    this.main.querySelector("h1")?.focus();
  }

  // The user comes back from a provider with a code, or with a refusal.
  async finishAtProvider() {
    const back = this.back;
    this.back = null;
    fill(this.main, h("h1", { tabindex: "-1" }, "Finishing"), h("p", { role: "status" }, "The provider's code is being exchanged..."));
    this.focusPage();
    let draft = null;
    try {
      draft = await consoleCall("POST", `draft/${encodeURIComponent(back.state ?? "")}`);
      if (back.error || !back.code) {
        this.tell(draft, `The provider did not grant access: ${back.error ?? "no code came"}. Nothing was made. Begin again, or ask who administers the provider's account.`);
        return;
      }
      if (draft.kind === "authorize") {
        await call("PATCH", `/instances/${draft.id}`, { ...draft.body, providerData: { code: back.code } });
        location.hash = `#/instances/${draft.id}`;
        this.show();
        fill(this.said, notice("good", "The instance is authorized again."));
        return;
      }
      const made = await call("POST", "/instances", { ...draft.body, providerData: { code: back.code } });
      await this.showMade(made);
    } catch (error) {
      const lost = !draft && error.status === 404;
      this.tell(draft, lost
        ? "What you had begun is not here any more: the session it belonged to is over, or the page was loaded twice. Nothing was made; begin again."
        : explain(error));
    }
  }

  tell(draft, text) {
    if (this.asked) return;
    location.hash = draft?.kind === "authorize" ? `#/instances/${draft.id}` : "#/instances";
    this.show();
    fill(this.said, notice("bad", text));
  }

  async showMade(made) {
    location.hash = `#/instances/${made.id}`;
    this.show();
    await showToken(`Instance ${made.id} is made`, made.token);
  }
}

customElements.define("er-app", App);
