// The site's end of ICカード更新: one popup from the first message to the last signature (manual 1.4).
// The page hands the card agent what the server says, and the server what the agent says; it decides nothing itself.

import { POPUP, Refused, findAgent, say, sayRefusal } from "./card-dialogue.js";

const TALK = {
  old: ["補助アプリの小さな画面で、現在使用しているICカードから順に進めてください。"],
  judging: ["2枚のICカードを確認しています。しばらくお待ちください。"],
  confirm: ["補助アプリの小さな画面で、「電子証明書更新確認」の内容を確かめてください。"],
  waits: ["補助アプリの小さな画面で、「電子証明書更新確認」の内容を確かめてください。", "「更新」を押すと仮登録になり、調達機関が確認するまで、現在使用しているICカードをそのまま使います。"],
  sending: ["ICカードの署名が終わりました。送信しています。"],
  again: ["はじめに戻りました。何も更新されていません。", "もう一度「ICカード更新」を押し、現在使用しているICカードから進めてください。"],
};
const ANSWERS = ["cards", "signed", "restart", "cancelled", "refused"];

let running = false;

// What the popup says, in order; only this popup at this origin is listened to.
class Heard {
  #messages = [];
  #waiting = null;
  #closedFor = 0;

  constructor(popup, origin) {
    this.popup = popup;
    this.origin = origin;
    this.listen = (event) => {
      if (event.source !== popup || event.origin !== origin || event.data?.v !== 1 || !ANSWERS.includes(event.data.type)) return;
      this.#messages.push(event.data);
      this.#settle();
    };
    window.addEventListener("message", this.listen);
    this.watch = setInterval(() => {
      // The last message and the closing race each other: leave the message half a second.
      this.#closedFor = popup.closed ? this.#closedFor + 1 : 0;
      if (this.#closedFor > 2) {
        this.#messages.push({ type: "cancelled" });
        this.#settle();
      }
    }, 250);
  }

  #settle() {
    if (this.#waiting === null || this.#messages.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting(this.#messages.shift());
  }

  async next() {
    const message = await new Promise((resolve) => {
      this.#waiting = resolve;
      this.#settle();
    });
    if (message.type === "cancelled") throw new Refused("C-214");
    if (message.type === "refused") throw new Refused(String(message.code));
    return message;
  }

  tell(message) {
    this.popup.postMessage({ v: 1, ...message }, this.origin);
  }

  end() {
    clearInterval(this.watch);
    window.removeEventListener("message", this.listen);
  }
}

// Posts to the server; resolves with its answer, or with null after leading to the page that says why not.
async function ask(form, url, fields) {
  let response, answer;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
      body: new URLSearchParams(fields),
      credentials: "same-origin",
    });
    answer = await response.json();
  } catch {
    throw new Refused("C-223");
  }
  if (response.ok) return answer;
  if (typeof answer.refused !== "string") throw new Refused("C-223");
  window.location.assign(answer.refused);
  return null;
}

// Resolves with whether the person wants to begin again from the old card; nothing of this try is kept.
async function converse(form, popup, origin) {
  const begun = await ask(form, form.dataset.beginUrl, {});
  if (begun === null) {
    popup.close();
    return false;
  }
  const heard = new Heard(popup, origin);
  try {
    popup.postMessage(begun.message, origin);
    say(form, TALK.old);
    const cards = await heard.next();
    if (cards.type === "restart") return true;
    if (cards.type !== "cards") throw new Refused("C-219");
    say(form, TALK.judging);
    const renewal = begun.message.renewal_id;
    const judged = await ask(form, form.dataset.prepareUrl, {
      renewal,
      handover: cards.handover,
      certificate: cards.certificate,
    });
    if (judged === null) {
      heard.tell({ type: "stop" });
      return false;
    }
    heard.tell({ type: "renewal-document", document: judged.document });
    say(form, judged.waits ? TALK.waits : TALK.confirm);
    const signed = await heard.next();
    if (signed.type === "restart") return true;
    if (signed.type !== "signed") throw new Refused("C-219");
    form.elements.renewal.value = renewal;
    form.elements.jws.value = signed.jws;
    say(form, TALK.sending);
    // Not requestSubmit(): that would start the dialogue again.
    form.submit();
    return false;
  } finally {
    heard.end();
  }
}

async function start(event) {
  event.preventDefault();
  const form = event.currentTarget;
  if (running) return;
  const origins = form.dataset.agentPorts.split(" ").map((port) => `http://127.0.0.1:${port}`);
  // In the click itself, before any await, or the browser takes it for an advertisement.
  const popup = window.open(`${origins[0]}/`, "card-agent", POPUP);
  if (popup === null) {
    sayRefusal(form, "C-221");
    return;
  }
  running = true;
  say(form, ["補助アプリを呼び出しています。"]);
  try {
    const origin = await findAgent(popup, origins, () => sayRefusal(form, "C-222"));
    if (await converse(form, popup, origin)) {
      // The popup has closed, and only a click may open another.
      say(form, TALK.again);
      form.querySelector("button").focus();
    }
  } catch (failure) {
    if (!popup.closed) popup.close();
    sayRefusal(form, failure instanceof Refused ? failure.code : "C-219");
  } finally {
    running = false;
  }
}

for (const form of document.querySelectorAll("form[data-card-renewal]")) form.addEventListener("submit", start);
