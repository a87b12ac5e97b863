// A field on the page of messages: paste what you were told, and its row remains.
document.addEventListener("DOMContentLoaded", () => {
  const page = document.getElementById("messages-and-ways-out");
  if (!page) return;
  const field = Object.assign(document.createElement("input"), {
    type: "search",
    id: "find-message",
    className: "form-control",
    placeholder: "Paste a message, or a word of it",
  });
  field.setAttribute("aria-label", field.placeholder);
  page.querySelector("h1").after(field);

  const plain = (text) => text.toLowerCase().replace(/\s+/g, " ").trim();
  const rows = [...page.querySelectorAll("tbody tr")].map((element) => ({
    element,
    text: plain(element.textContent),
    // The parts of a message between what varies; a "…" and short words tell nothing.
    messages: [...element.cells[0].querySelectorAll("code")].map((code) =>
      plain(code.textContent).split("…").map((part) => part.trim()).filter((part) => part.length > 3)),
  }));
  const follows = (pasted, parts) => {
    let from = 0;
    return parts.length > 0 && parts.every((part) => {
      const found = pasted.indexOf(part, from);
      from = found + part.length;
      return found >= 0;
    });
  };

  field.addEventListener("input", () => {
    const pasted = plain(field.value);
    for (const { element, text, messages } of rows)
      element.hidden = !text.includes(pasted) && !messages.some((parts) => follows(pasted, parts));
    for (const section of page.querySelectorAll("section"))
      section.hidden = pasted !== "" && !section.querySelector("tbody tr:not([hidden])");
  });
});
