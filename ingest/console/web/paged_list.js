// A list that is read page by page: the parts that all of them share.
import { h, fill, button, notice } from "./dom.js";
import { explain } from "./api.js";

// Each has `readPage(next)`, which reads one page (the first without `next`), and `draw()`, which shows
// `rows`.
export class PagedList extends HTMLElement {
  rows = [];
  next = null;
  said = h("div");
  list = h("div");
  more = h("div", { class: "actions" });

  // `told`: what the user has just done. `keep`: the rows of before stay if Kafka or the network fails.
  async load({ told, keep } = {}) {
    try {
      const answer = await this.readPage(null);
      this.rows = answer.body;
      this.next = answer.next;
      fill(this.said, told ? notice("good", told) : null);
      this.draw();
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
      if (!keep) fill(this.list);
      if (!keep) fill(this.more);
    }
  }

  async loadMore() {
    try {
      const answer = await this.readPage(this.next);
      this.rows = this.rows.concat(answer.body);
      this.next = answer.next;
      this.draw();
    } catch (error) {
      fill(this.said, notice("bad", explain(error)));
    }
  }

  // Below the list: how many rows it shows, what can be done with them, and the way to the next page.
  drawMore(word, ...actions) {
    fill(this.more,
      h("span", { role: "status" }, `${this.rows.length} shown${this.next ? ", there are more" : ""}`),
      ...actions,
      this.next ? button(word, () => this.loadMore()) : null);
  }
}
