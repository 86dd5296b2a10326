// The list of instances, with their state; by tag and element.
import { h, fill, field, badge, table, when } from "./dom.js";
import { page, call, query } from "./api.js";
import { PagedList } from "./paged_list.js";

const PAGE_SIZE = 50;
const REFRESH_MS = 10_000;

export function stateOf(instance) {
  if (!instance.valid) return badge("bad", "Needs authorization");
  if (instance.disabled) return badge("off", "Off");
  if (!instance.eventsEnabled) return badge("warn", "Events off");
  return badge("good", "On");
}

class Instances extends PagedList {
  connectedCallback() {
    this.tag = h("input", { type: "search", name: "tag", autocomplete: "off" });
    this.element = h("select", { name: "element" }, h("option", { value: "" }, "All elements"));
    this.list.setAttribute("aria-live", "off");
    fill(this,
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Instances"),
        this.who.role === "admin" ? h("a", { class: "button primary", href: "#/instances/new" }, "Create an instance") : null),
      h("form", { class: "filter", on: { submit: (event) => { event.preventDefault(); this.load(); } } },
        field("Tag", this.tag), field("Element", this.element), h("button", { type: "submit" }, "Search")),
      this.said, this.list, this.more);
    this.element.addEventListener("change", () => this.load());
    this.fillElements();
    this.load();
    // Only what one page holds is asked for again, and only while somebody looks.
    this.timer = setInterval(() => {
      if (document.visibilityState === "visible" && this.rows.length <= PAGE_SIZE) this.load({ keep: true });
    }, REFRESH_MS);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  async fillElements() {
    try {
      for (const each of await call("GET", "/elements")) this.element.append(h("option", { value: each.key }, each.name));
    } catch {
      // The list says what is wrong.
    }
  }

  readPage(next) {
    return page("/instances" + query({ pageSize: PAGE_SIZE, "tags[]": this.tag.value.trim(), elementKey: this.element.value, nextPage: next }));
  }

  draw() {
    const filtered = this.tag.value.trim() || this.element.value;
    // A list that is drawn again must not take the focus away.
    const focused = this.list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    fill(this.list, table("Instances of this account", [
      { title: "Name", cell: (row) => h("a", { href: `#/instances/${row.id}` }, row.name) },
      { title: "Id", cell: (row) => String(row.id) },
      { title: "Element", cell: (row) => row.element.name ?? row.element.key },
      { title: "State", cell: (row) => stateOf(row) },
      { title: "Tags", cell: (row) => row.tags.map((tag) => h("span", { class: "tag" }, tag)) },
      { title: "Created", cell: (row) => when(row.createdDate) },
    ], this.rows, filtered ? "No instance fits." : "There is no instance yet. Create the first one."));
    if (focused) this.list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    this.drawMore("Show more");
  }
}
customElements.define("er-instances", Instances);
