import { make } from "./dom";

const SHOW_RESULT_MS = 1600;

/** Copy without the clipboard API, which browsers give to secure origins and localhost only. */
function copyBySelection(text: string): boolean {
  const area = make("textarea", "off-screen");
  area.value = text;
  area.readOnly = true;
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/**
 * Wire a button that copies what `text` gives, and says so. The label keeps its width; the result is
 * announced through the page's live region.
 */
export function wireCopyButton(button: HTMLButtonElement, text: () => string): void {
  const label = button.textContent ?? "";
  let timer = 0;
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.textContent = done ? "Copied" : "Not copied";
    button.classList.toggle("is-done", done);
    announce(done ? `${text()} copied` : "The browser refused to copy");
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      button.textContent = label;
      button.classList.remove("is-done");
    }, SHOW_RESULT_MS);
  });
}

function announce(message: string): void {
  const region = document.getElementById("announcer");
  if (region) region.textContent = message;
}
