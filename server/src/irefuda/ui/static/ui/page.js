// What every page does beyond plain HTML: the clock ticks, the print links print, the end of a login is announced.
// One file, because a page is to need few requests.

// The clock shows the server's time: what counts is the moment the server wrote, plus what has passed here since.
const JST_MS = 9 * 60 * 60 * 1000;
const two = (number) => String(number).padStart(2, "0");

/** Return 「2026年11月24日09時00分」 for a moment in milliseconds, in Japan's time whatever the computer's zone is. */
function wording(moment) {
  const at = new Date(moment + JST_MS);
  return `${at.getUTCFullYear()}年${two(at.getUTCMonth() + 1)}月${two(at.getUTCDate())}日${two(at.getUTCHours())}時${two(at.getUTCMinutes())}分`;
}

/** Let every `<time data-clock>` under `root` tick from the server's moment it was written with. */
function startClocks(root) {
  for (const element of root.querySelectorAll("time[data-clock]")) {
    const ahead = Date.parse(element.dateTime) - Date.now();
    const tick = () => {
      const moment = Date.now() + ahead;
      const text = wording(moment);
      if (element.textContent !== text) element.textContent = text;
      setTimeout(tick, 1000 - (moment % 1000));
    };
    tick();
  }
}

// 「印刷」 and 「大きな文字で印刷」: without this script the same links open the page in its printable form.
function bindPrintLinks(root) {
  for (const link of root.querySelectorAll("a[data-print]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const large = link.dataset.print === "large";
      const before = document.documentElement.classList.contains("large-print");
      document.documentElement.classList.toggle("large-print", large);
      addEventListener("afterprint", () => document.documentElement.classList.toggle("large-print", before), { once: true });
      print();
    });
  }
}

// The end of a login is announced two minutes ahead, with one button that puts it off (WCAG 2.2.1).

const AHEAD_MS = 2 * 60 * 1000;

function watchSession(root) {
  const form = root.querySelector("form[data-session-seconds]");
  if (!form) return;
  const words = form.querySelector("[data-session-words]");
  const button = form.querySelector("button");
  // Every tab of the site shares one login: what one tab learns of its end, the others learn too.
  const tabs = new BroadcastChannel("session-end");
  let endsAt = 0;

  const say = (text) => {
    if (words.textContent !== text) words.textContent = text;
  };
  const putOff = (moment) => {
    endsAt = Math.max(endsAt, moment);
    look();
  };
  const look = () => {
    const left = endsAt - Date.now();
    form.hidden = left > AHEAD_MS;
    if (form.hidden) return say("");
    button.hidden = left <= 0;
    if (left <= 0) return say("操作がない時間が続いたため、ログインが終わりました。続きは、もう一度ICカードで入ると行えます。");
    say(`操作がない時間が続いています。${wording(endsAt)}ごろにログインが終わります。`);
  };

  tabs.onmessage = (event) => putOff(event.data);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), redirect: "error" });
      if (answer.status === 401) {
        endsAt = 0;
        return look();
      }
      if (!answer.ok) throw new Error(answer.statusText);
      const moment = Date.now() + (await answer.json()).seconds * 1000;
      putOff(moment);
      tabs.postMessage(moment);
    } catch {
      say("サーバにつながりません。もう一度「ログインを続ける」を押してください。");
    }
  });

  const moment = Date.now() + Number(form.dataset.sessionSeconds) * 1000;
  putOff(moment);
  tabs.postMessage(moment);
  setInterval(look, 1000);
}

startClocks(document);
bindPrintLinks(document);
watchSession(document);
