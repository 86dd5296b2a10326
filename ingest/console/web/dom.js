// Elements out of plain values. Every text goes in as a text node or an attribute, never as markup.

// h("a", {href: "#/x", on: {click: f}}, "text", otherNode, null): null and false are left out.
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "value") {
      element.value = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// The same for what is drawn: shapes of SVG.
export function shape(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, String(value));
  element.append(...children.flat(9).filter(Boolean));
  return element;
}

// Replaces what `element` holds.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
}

let numbers = 0;
export function newId(word) {
  numbers += 1;
  return `${word}-${numbers}`;
}

// A labelled control: `control` is an input, a select or a textarea.
export function field(label, control, hint) {
  const id = control.id || newId("field");
  control.id = id;
  const described = hint ? h("small", { id: `${id}-hint` }, hint) : null;
  if (described) control.setAttribute("aria-describedby", described.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, described);
}

export function check(label, control, hint) {
  const id = control.id || newId("check");
  control.id = id;
  return h("div", { class: "check" }, control, h("label", { for: id }, label, hint ? h("small", null, hint) : null));
}

// A word that says a state, with a colour that only repeats it.
export function badge(tone, text) {
  return h("span", { class: `badge ${tone}` }, text);
}

export function when(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return String(text ?? "");
  return h("time", { datetime: date.toISOString(), title: date.toISOString() }, date.toLocaleString());
}

// A table that becomes a list of cards on a narrow screen. Columns: [{title, cell(row)}].
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  return h("div", { class: "table" },
    h("table", null,
      h("caption", null, caption),
      h("thead", null, h("tr", null, columns.map((column) => h("th", { scope: "col" }, column.title)))),
      h("tbody", null, rows.map((row) => h("tr", null, columns.map((column, index) =>
        h(index === 0 ? "th" : "td", { "data-label": column.title, scope: index === 0 ? "row" : null }, column.cell(row))))))));
}

export function button(text, listener, attributes) {
  return h("button", { type: "button", on: { click: listener }, ...attributes }, text);
}

// A value to be copied, with the button that does it.
export function copyable(label, text) {
  const value = h("code", { tabindex: "0" }, text);
  const done = h("span", { class: "done", role: "status" });
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      done.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(value);
      done.textContent = "Selected: press Ctrl+C";
    }
  }, { "aria-label": `Copy ${label}` });
  return h("div", { class: "copyable" }, h("span", { class: "name" }, label), value, copy, done);
}

// Opens a dialog and ends when it closes; `build(close)` returns its content, a form as a rule.
export function openDialog(title, build) {
  return new Promise((resolve) => {
    const id = newId("dialog");
    const dialog = h("dialog", { "aria-labelledby": id });
    const before = document.activeElement;
    let result;
    const close = (value) => {
      result = value;
      dialog.close();
    };
    dialog.append(h("h2", { id }, title), ...[build(close)].flat());
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// The buttons under a form in a dialog.
export function actions(submit, close, tone) {
  return h("div", { class: "actions" },
    h("button", { type: "submit", class: tone ?? "primary" }, submit),
    button("Cancel", () => close(undefined)));
}

export function notice(tone, ...content) {
  return h("div", { class: `notice ${tone}`, role: tone === "bad" ? "alert" : "status" }, ...content);
}
