// Light or dark, before anything is painted: what was chosen here, else what the system prefers.
// A plain script, because modules run after the first paint.

(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("portline-shade");
    } catch {
      return null;
    } // storage may be refused
  };
  const now = () => chosen() ?? (system.matches ? "dark" : "light");
  const apply = () => {
    document.documentElement.dataset.theme = now();
    window.dispatchEvent(new Event("shade"));
  };

  window.shade = {
    /** "light" or "dark". */
    now,
    /** Turn it over, and remember that; back to the system's when that is the same. */
    turn() {
      const next = now() === "dark" ? "light" : "dark";
      try {
        if (next === (system.matches ? "dark" : "light")) localStorage.removeItem("portline-shade");
        else localStorage.setItem("portline-shade", next);
      } catch {
        /* then it lasts as long as the page */
      }
      document.documentElement.dataset.theme = next;
      window.dispatchEvent(new Event("shade"));
    },
  };

  apply();
  system.addEventListener("change", apply);
})();
