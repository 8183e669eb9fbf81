// Parts of a page that change are fetched anew while it is open; everything works without this.
"use strict";

const RETRY_SECONDS = 10;

function poll(part) {
  let tag = null;
  let lost = false;

  async function fetchPart() {
    const headers = { "X-Fragment": "1" };
    if (tag) headers["If-None-Match"] = tag;
    const answer = await fetch(part.dataset.poll, { headers, cache: "no-store" });
    if (answer.status === 401) {
      location.reload();
      return false;
    }
    if (answer.status === 304) return true;
    if (!answer.ok) throw new Error(answer.statusText);
    tag = answer.headers.get("ETag");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // What somebody is in the middle of stays.
    if (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return true;
    const open = document.activeElement;
    const link = part.contains(open) && open.getAttribute("href");
    part.replaceChildren(...document.adoptNode(page.body).childNodes);
    if (link) part.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus();
    return !part.querySelector("[data-final]");
  }

  async function turn() {
    let seconds = Number(part.dataset.seconds);
    let goOn = true;
    if (!document.hidden) {
      try {
        goOn = await fetchPart();
        lost = false;
      } catch {
        seconds = RETRY_SECONDS;
        lost = true;
      }
      part.classList.toggle("lost", lost);
    }
    if (goOn) setTimeout(turn, seconds * 1000);
  }

  if (!part.querySelector("[data-final]")) setTimeout(turn, Number(part.dataset.seconds) * 1000);
}

document.querySelectorAll("[data-poll]").forEach(poll);

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
});
