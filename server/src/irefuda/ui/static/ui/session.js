// The end of a login is announced two minutes ahead, with one button that puts it off (WCAG 2.2.1).
import { wording } from "./clock.js";

const AHEAD_MS = 2 * 60 * 1000;

export function watchSession(root) {
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
