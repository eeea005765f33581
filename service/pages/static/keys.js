// Keys for reading and deciding about traces. They press the links and buttons that stand on the page: without this
// file everything can be done all the same.
"use strict";

const cards = () => [...document.querySelectorAll("article.trace h2 a")];

function go(step) {
  const link = document.querySelector(`main a[rel="${step > 0 ? "next" : "prev"}"]`);
  const all = cards();
  if (!all.length) {
    link?.click();
    return;
  }
  const place = all.findIndex((card) => card.closest("article").contains(document.activeElement));
  const next = all[place < 0 ? (step > 0 ? 0 : all.length - 1) : place + step];
  next ? next.focus() : link?.click();
}

function open(selector) {
  const field = document.querySelector(selector);
  if (!field) return;
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus();
  field.scrollIntoView({ block: "center" });
}

const keys = {
  j: () => go(1),
  k: () => go(-1),
  t: () => open("form.decide [name=tags]"),
  e: () => open("form.decide [name=response]"),
  "?": () => document.getElementById("decide")?.scrollIntoView(),
};

let meant = null; // the button whose key was pressed while the form still lacked a name

function press(button) {
  meant = button.form.checkValidity() ? null : button;
  button.form.requestSubmit(button);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && meant && event.target.name === "author") {
      event.preventDefault();
      press(meant);
    }
    return;
  }
  const button = /^[a-z]$/.test(event.key) && document.querySelector(`form.decide button[data-key="${event.key}"]:enabled`);
  if (!button && !keys[event.key]) return;
  event.preventDefault();
  if (button) press(button);
  else keys[event.key]();
});
