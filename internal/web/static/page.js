"use strict";
// Makes the page live: puts what a stream of server-sent events brings into the
// sections of the same id, and changes only what differs, so that the focus, the
// scroll and what is being typed stay. Without this script the page works by
// links, forms and reloads.
(() => {
  // become makes the element old like the new one.
  function become(old, fresh) {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    let at = old.firstChild;
    for (let want = fresh.firstChild; want; want = want.nextSibling) {
      // A row that moved is taken from where it is.
      if (at && want.id && at.id !== want.id) {
        const moved = [...old.children].find((child) => child.id === want.id);
        if (moved) { old.insertBefore(moved, at); at = moved; }
        else { old.insertBefore(want.cloneNode(true), at); continue; }
      }
      if (!at) { old.appendChild(want.cloneNode(true)); continue; }
      if (at.nodeType !== want.nodeType || at.nodeName !== want.nodeName) {
        const copy = want.cloneNode(true);
        old.replaceChild(copy, at);
        at = copy;
      } else if (at.nodeType === Node.ELEMENT_NODE) {
        become(at, want);
      } else if (at.nodeValue !== want.nodeValue) {
        at.nodeValue = want.nodeValue;
      }
      at = at.nextSibling;
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  }

  // say tells, to screen readers too, whether the page is live; it is silent
  // while that does not change.
  function say(text) {
    const link = document.getElementById("link");
    if (link && link.textContent !== text) link.textContent = text;
  }

  function follow(path) {
    const events = new EventSource(path);
    events.addEventListener("part", (event) => {
      say("Live.");
      const parts = document.createElement("template");
      parts.innerHTML = event.data;
      for (const fresh of parts.content.children) {
        const old = fresh.id && document.getElementById(fresh.id);
        if (old) become(old, fresh);
      }
    });
    events.addEventListener("trouble", (event) => say("This may be old: " + event.data));
    events.addEventListener("gone", (event) => { events.close(); say("Gone: " + event.data); });
    events.addEventListener("error", () => say("The worker does not answer; trying again."));
    addEventListener("pagehide", () => events.close());
  }

  // A search through a large job goes on by itself until it finds something.
  async function goOn(link) {
    const found = document.getElementById("found");
    for (let looked = 0; link; ) {
      const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      looked++;
      if (found) found.textContent = "Searching… " + looked;
      const next = page.querySelector("a[data-go-on]");
      if (!next) { become(document.getElementById("requests"), page.getElementById("requests")); return; }
      link = next;
    }
  }

  const path = document.body.dataset.live;
  if (path) follow(path);
  const more = document.querySelector("a[data-go-on]");
  if (more) goOn(more);
})();
