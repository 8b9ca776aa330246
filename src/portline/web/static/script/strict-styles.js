// Styles of xterm.js under a content security policy without 'unsafe-inline'.
//
// Theory of operation
// -------------------
// xterm.js writes its measures and colours into <style> elements and style attributes, both of which
// the policy refuses. The same rules are allowed in a constructed style sheet, and the same
// declarations through the object model, because no markup can make those. So as long as a terminal
// is there, document.createElement makes elements of these two sorts with other setters. (The option
// documentOverride of xterm does not do: it draws its rows with the page's own document.)

/** What passes for a <style> element: its text goes into a constructed sheet, as long as it is there. */
function style() {
  const element = make("i");
  const sheet = new CSSStyleSheet();
  let text = "";
  element.hidden = true;
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, "textContent", {
    get: () => text,
    set(value) {
      text = value;
      sheet.replaceSync(value);
    },
  });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
}

function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

const make = (tag, options) => Document.prototype.createElement.call(document, tag, options);

function createElement(tag, options) {
  if (tag === "style") return style();
  const element = make(tag, options);
  if (tag === "span") element.setAttribute = setAttribute;
  return element;
}

/** Begin with it; returns how to end it. */
export function strictStyles() {
  document.createElement = createElement;
  return () => {
    delete document.createElement;
  };
}
