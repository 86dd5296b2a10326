// Webhooks of one instance at Box: what there is, and making, changing and deleting one.
import { h, fill, field, check, badge, table, button, notice, openDialog, actions } from "./dom.js";
import { call, page, explain, query } from "./api.js";
import { PagedList } from "./paged_list.js";

// What Box offers by the type of the target.
const FILE = ["UPLOADED", "PREVIEWED", "DOWNLOADED", "TRASHED", "DELETED", "RESTORED", "COPIED", "MOVED", "LOCKED", "UNLOCKED", "RENAMED"].map((word) => `FILE.${word}`);
const FOLDER = ["CREATED", "DOWNLOADED", "RENAMED", "TRASHED", "DELETED", "RESTORED", "COPIED", "MOVED"].map((word) => `FOLDER.${word}`);
const BOTH = ["COMMENT.CREATED", "COMMENT.UPDATED", "COMMENT.DELETED", "METADATA_INSTANCE.CREATED", "METADATA_INSTANCE.UPDATED", "METADATA_INSTANCE.DELETED", "SHARED_LINK.CREATED", "SHARED_LINK.UPDATED", "SHARED_LINK.DELETED"];
const TRIGGERS = {
  file: [...FILE, "TASK_ASSIGNMENT.CREATED", "TASK_ASSIGNMENT.UPDATED", ...BOTH],
  folder: [...FOLDER, ...FILE, "COLLABORATION.CREATED", "COLLABORATION.ACCEPTED", "COLLABORATION.REJECTED", "COLLABORATION.REMOVED", "COLLABORATION.UPDATED", ...BOTH],
};
const USUAL = new Set(["FILE.UPLOADED", "FILE.TRASHED", "FILE.RENAMED", "FOLDER.CREATED"]);

class Webhooks extends PagedList {
  async connectedCallback() {
    fill(this,
      h("p", { class: "crumbs" }, h("a", { href: "#/instances" }, "Instances"), " / ", h("a", { href: `#/instances/${this.number}` }, `Instance ${this.number}`)),
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Webhooks"),
        this.who.role === "admin" ? button("Create a webhook", () => this.edit(null), { class: "primary" }) : null),
      this.said, this.list, this.more);
    await this.load();
  }

  async readPage(next) {
    const answer = await page("/webhooks" + query({ pageSize: 100, nextPage: next }), { instance: this.number });
    if (next) return answer;
    // What this service knows of each: Box tells when one is gone.
    const instance = await call("GET", `/instances/${this.number}`);
    this.known = new Map(instance.webhooks.map((each) => [each.id, each]));
    const there = new Set(answer.body.map((each) => each.id));
    const gone = answer.next ? [] : instance.webhooks.filter((each) => !there.has(each.id));
    return { body: [...answer.body, ...gone], next: answer.next };
  }

  stateOf(row) {
    const known = this.known.get(row.id);
    if (!known) return badge("warn", "Not made here");
    if (known.state === "active") return badge("good", "Active");
    const word = known.state === "deleted" ? "Deleted at Box" : "No session at Box";
    return [badge("bad", word), known.reason ? h("small", { class: "value" }, known.reason) : null];
  }

  draw() {
    fill(this.list, table("Webhooks at Box", [
      { title: "Id", cell: (row) => row.id },
      { title: "Target", cell: (row) => row.target ? `${row.target.type} ${row.target.id}` : "not told by the list" },
      { title: "Triggers", cell: (row) => (row.triggers ?? this.known.get(row.id)?.triggers ?? []).join(", ") || "not told by the list" },
      { title: "State", cell: (row) => this.stateOf(row) },
      {
        title: "Actions",
        cell: (row) => this.who.role === "admin" ? h("div", { class: "actions" },
          button("Change", () => this.edit(row), { "aria-label": `Change webhook ${row.id}` }),
          button("Delete", () => this.remove(row), { class: "danger", "aria-label": `Delete webhook ${row.id}` })) : "",
      },
    ], this.rows, "There is no webhook yet."));
    this.drawMore("Show more");
  }

  async edit(row) {
    const before = row ? { ...row, ...this.known.get(row.id) } : null;
    const done = await openDialog(row ? `Change webhook ${row.id}` : "Create a webhook", (close) => {
      const type = h("select", { name: "type" }, h("option", { value: "folder" }, "Folder"), h("option", { value: "file" }, "File"));
      const target = h("input", { name: "target", required: true, maxlength: "64", inputmode: "numeric", autocomplete: "off", spellcheck: "false", value: before?.target?.id ?? "" });
      if (before?.target) type.value = before.target.type;
      type.disabled = target.disabled = Boolean(row);
      const triggers = h("fieldset", { class: "choices" });
      const said = h("div");
      const offer = () => {
        const chosen = new Set(before?.triggers ?? USUAL);
        const words = [...new Set([...TRIGGERS[type.value], ...(before?.triggers ?? [])])];
        fill(triggers, h("legend", null, "Triggers"), words.map((word) =>
          check(word, h("input", { type: "checkbox", name: "trigger", value: word, checked: chosen.has(word) }))));
      };
      type.addEventListener("change", offer);
      offer();
      return h("form", {
        on: {
          submit: async (event) => {
            event.preventDefault();
            const words = [...triggers.querySelectorAll("input:checked")].map((each) => each.value);
            if (words.length === 0) {
              fill(said, notice("bad", "Choose one trigger at least."));
              return;
            }
            const pressed = event.submitter;
            if (pressed) pressed.disabled = true;
            try {
              if (row) await call("PUT", `/webhooks/${row.id}`, { triggers: words }, { instance: this.number });
              else await call("POST", "/webhooks", { target: { id: target.value.trim(), type: type.value }, triggers: words }, { instance: this.number });
              close(true);
            } catch (error) {
              fill(said, notice("bad", explain(error)));
              if (pressed) pressed.disabled = false;
            }
          },
        },
      },
      field("Target", type), field("Id of the file or folder", target, row ? "The target of a webhook can not be changed; delete it and make another." : "The number in its address at Box."),
      triggers, said, actions(row ? "Save" : "Create", close));
    });
    if (done) await this.load({ told: row ? "The webhook is changed." : "The webhook is made." });
  }

  async remove(row) {
    const sure = await openDialog(`Delete webhook ${row.id}?`, (close) => [
      h("p", null, "Box sends no more events for it."),
      h("div", { class: "actions" }, button("Delete", () => close(true), { class: "danger" }), button("Cancel", () => close(false))),
    ]);
    if (!sure) return;
    try {
      await call("DELETE", `/webhooks/${row.id}`, undefined, { instance: this.number });
    } catch (error) {
      if (error.status !== 404) {
        fill(this.said, notice("bad", explain(error)));
        return;
      }
    }
    await this.load({ told: "The webhook is deleted." });
  }
}
customElements.define("er-webhooks", Webhooks);
