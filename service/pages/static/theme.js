// Light or dark: as the system has it, until a person chooses. Loaded before the page is drawn, so that nothing flashes.
(() => {
  const next = { system: "light", light: "dark", dark: "system" };
  const root = document.documentElement;
  const kept = () => {
    try { return localStorage.getItem("theme") in next ? localStorage.getItem("theme") : "system"; } catch { return "system"; }
  };
  const show = (theme) => { if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme; };
  show(kept());
  addEventListener("DOMContentLoaded", () => {
    const button = document.createElement("button");
    let theme = kept();
    const name = () => { button.textContent = `Theme: ${theme}`; };
    button.className = "theme";
    button.addEventListener("click", () => {
      theme = next[theme];
      try { localStorage.setItem("theme", theme); } catch { /* not kept, shown all the same */ }
      show(theme);
      name();
    });
    name();
    document.getElementById("theme").append(button);
  });
})();
