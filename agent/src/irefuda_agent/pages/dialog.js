// The popup: shows who asks and for what, lists the cards, takes the PIN, and answers the site that opened it.

import { askCheck, showCheck } from "./check.js";
import { startRenewal } from "./renewal.js";

const { secret, dialogue } = document.body.dataset;
const opener = window.opener;
const at = (id) => document.getElementById(id);

let site = null; // the origin of the first message; every answer goes there and nowhere else
let asked = null;
let renewal = null;
let cards = [];
let chosen = null; // key of the chosen card
let lastLook = { cards: [], faults: [] };
let offered = null; // certificates that a card showed only after its PIN
let lastCode = null;
let answered = false;
let accessing = false;
const watching = new AbortController(); // its end tells the program that this popup is gone

function call(path, body, signal) {
  return fetch(path, {
    signal,
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Card-Agent-Secret": secret },
    body: JSON.stringify({ dialogue, ...body }),
  });
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function answerSite(message) {
  if (answered || site === null) return;
  answered = true;
  opener.postMessage({ v: 1, ...message }, site);
}

function leave(message) {
  if (message) answerSite(message);
  answered = true;
  watching.abort();
  window.close();
}

function giveUp() {
  leave(lastCode === null ? { type: "cancelled" } : { type: "refused", code: lastCode });
}

function errorBox({ code, sentence, remedy }) {
  const box = element("div", undefined, "error");
  const said = element("p", sentence, "sentence");
  said.append(element("span", `（${code}）`, "error-code"));
  box.append(said, element("p", remedy));
  return box;
}

// Beside the PIN field, where the next try is made; `tries` says it again from then on, so it is not said twice.
function showRefusals(refusals) {
  lastCode = refusals[0].code;
  const others = refusals.filter(({ code }) => refusals.length === 1 || !["C-211", "C-220"].includes(code));
  at("pin-alert").replaceChildren(...others.map(errorBox));
}

function stopHere(refusals) {
  if (answered) return;
  lastCode = refusals[0].code;
  at("alert").replaceChildren(...refusals.map(errorBox));
  at("waiting").hidden = at("form").hidden = at("message").hidden = at("confirmation").hidden = true;
  at("close").textContent = "閉じる";
  at("close-row").hidden = false;
  at("close").focus();
}

// ---- the site's request ----

async function hear(event) {
  // Only the window that opened this popup, only its first message.
  if (event.source !== opener || site !== null) return;
  window.removeEventListener("message", hear);
  site = event.origin === "null" ? null : event.origin;
  const answer = await (await call("/api/begin", { origin: event.origin, message: event.data })).json();
  if (answer.refusals) return stopHere(answer.refusals);
  asked = answer;
  showAsked();
  watchCards();
}

function showAsked() {
  at("waiting").hidden = true;
  at("practice").hidden = !asked.practice;
  at("site-name").textContent = asked.site_name;
  at("origin").textContent = asked.origin;
  at("purpose").textContent = asked.purpose || "ICカードの確認";
  at("passphrase").textContent = asked.passphrase || "（まだ決められていません）";
  at("asked").hidden = at("form").hidden = false;
  if (asked.kind === "check") return showCheck(asked, element);
  if (asked.kind === "renew") {
    renewal = startRenewal(asked, {
      element, list: listOf, call, finish, stopHere, giveUp, leave,
      site: () => site,
      tellSite: (message) => opener.postMessage(message, site),
      isAccessing: () => accessing,
      refreshCards: () => showCards(lastLook),
      forgetChoice: () => {
        offered = chosen = lastCode = null;
        at("pin-alert").replaceChildren();
      },
    });
    return;
  }
  if (asked.kind === "sign") showDocument();
  at("pin").focus();
}

function listOf(rows) {
  const list = element("dl", undefined, "values");
  for (const [label, value] of rows) {
    const row = element("div");
    row.append(element("dt", label), element("dd", value || "（なし）"));
    list.append(row);
  }
  return list;
}

function showDocument() {
  at("document").hidden = false;
  at("document-title").textContent = asked.title;
  for (const [heading, rows] of asked.sections) {
    at("document-fields").append(element("h3", heading), listOf(rows));
  }
  at("person").value = asked.person_in_charge;
  at("person").readOnly = true; // it is part of the document that is signed
}

// ---- the cards, live ----

const keyOf = (card) => [card.module, card.slot_id, card.token_serial, card.fingerprint].join("|");

async function watchCards() {
  let shown = "";
  try {
    const answer = await call("/api/cards", {}, watching.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === shown) continue;
        shown = line;
        const look = JSON.parse(line);
        renewal?.notice(look);
        if (look.cards && offered === null) showCards(look);
      }
    }
  } catch {
    // the reason follows below: the program has ended, or this window is closing
  }
  if (renewal?.hasEnded()) return;
  stopHere([{ code: "C-222", sentence: "補助アプリが終了しました。", remedy: "補助アプリを起動してから、サイトの画面でもう一度ボタンを押してください。" }]);
}

function mayBeChosen(card) {
  if (asked.kind === "check") return true; // what is wrong with a card is what a check is for
  if (renewal) return renewal.takes(card);
  return card.choosable && (asked.kind !== "sign" || card.fingerprint === "" || card.fingerprint === asked.fingerprint);
}

function showCards(look) {
  lastLook = look;
  at("form").querySelector('button[type="submit"]').disabled = false;
  cards = look.cards;
  const choosable = cards.filter(mayBeChosen);
  if (!choosable.some((card) => keyOf(card) === chosen)) chosen = choosable.length === 1 ? keyOf(choosable[0]) : null;
  const focused = document.activeElement?.name === "card" ? document.activeElement.value : null;
  // A document is signed by the card that began: once that one is there, the others would only be in the way.
  const shownCards = (asked.kind === "sign" || renewal?.confirms()) && choosable.length > 0 ? choosable : cards;
  at("cards").replaceChildren(...shownCards.map(cardRow));
  if (shownCards.length < cards.length) at("cards").append(element("p", `ほかに差し込まれているICカード（${cards.length - shownCards.length}枚）は、この手続きには使えません。`, "hint"));
  if (focused !== null) [...document.getElementsByName("card")].find((radio) => radio.value === focused)?.focus();
  at("card-faults").replaceChildren(...look.faults.flatMap((fault) => [element("p", `${fault.sentence}（${fault.code}）`, "sentence"), element("p", fault.remedy)]));
  showTries();
}

function cardRow(card) {
  const row = element("label", undefined, "card");
  const radio = element("input");
  radio.type = "radio";
  radio.name = "card";
  radio.value = keyOf(card);
  radio.checked = radio.value === chosen;
  radio.disabled = !mayBeChosen(card);
  radio.addEventListener("change", () => {
    chosen = radio.value;
    showTries();
  });
  const text = element("span", undefined, "card-text");
  text.append(element("strong", card.company_name ?? (card.label || "ICカード")));
  for (const [label, value] of [["カード", card.company_name && card.label], ["氏名", card.holder_name], ["認証局", card.issuer], ["有効期限", card.expires_on], ["リーダー", card.reader]]) {
    if (value) text.append(element("span", `${label}：${value}`));
  }
  const note = renewal ? renewal.noteOf(card) : card.note || (card.choosable && !mayBeChosen(card) ? "この手続きをはじめたときのICカードではありません。" : "");
  if (note) text.append(element("span", note, "note"));
  row.append(radio, text);
  return row;
}

const chosenCard = () => cards.find((card) => keyOf(card) === chosen);

function showTries() {
  const card = chosenCard();
  at("tries").hidden = asked.kind === "check" || !(card && (card.final_try || card.few_tries));
  at("confirm-row").hidden = !card?.final_try;
  at("tries-text").textContent = card?.final_try
    ? "PIN番号をあと1回間違えると、ICカードが使えなくなります。認証局から届いた書類でPIN番号を確かめてください。"
    : "PIN番号を入力できる回数が残り少なくなっています。";
  renewal?.chosen(card);
}

// ---- the PIN ----

// A PIN has no full-width characters: who left the Japanese input on must not lose a try for it.
const halfWidth = (typed) => typed.replace(/[！-～]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0));

async function useCard(event) {
  event.preventDefault();
  if (accessing) return;
  const card = chosenCard();
  if (asked.kind === "check") return sendCheck(card);
  const complaint = renewal?.signsWithoutPin() ? null : complaintAbout(card);
  if (complaint) {
    showRefusals([complaint.refusal]);
    complaint.field?.focus();
    return;
  }
  const body = renewal?.signsWithoutPin() ? {} : {
    card: { module: card.module, slot_id: card.slot_id, token_serial: card.token_serial, fingerprint: card.fingerprint },
    pin: halfWidth(at("pin").value),
    person_in_charge: at("person").value,
    last_try_confirmed: at("last-try").checked,
  };
  at("pin").value = "";
  at("pin-alert").replaceChildren();
  showAccess(true);
  let answer;
  try {
    answer = await (await call(renewal?.path() ?? "/api/use", body)).json();
  } finally {
    showAccess(false);
  }
  finish(answer, card);
}

async function sendCheck(card) {
  if (!card && cards.length > 0) {
    showRefusals([{ code: "C-203", sentence: "確認するICカードが選ばれていません。", remedy: "一覧から選んでください。" }]);
    lastCode = null;
    document.querySelector('input[name="card"]').focus();
    return;
  }
  at("pin-alert").replaceChildren();
  showAccess(true);
  let answer;
  try {
    answer = await askCheck(call, card);
  } finally {
    showAccess(false);
  }
  finish(answer, card);
  at("form").querySelector('button[type="submit"]').focus();
}

function complaintAbout(card) {
  const say = (code, sentence, remedy, field) => ({ refusal: { code, sentence, remedy }, field });
  if (!card) return say("C-203", "使うICカードが選ばれていません。", "ICカードを差し込み、一覧から選んでください。", document.querySelector('input[name="card"]:not(:disabled)'));
  if (at("pin").value === "" && !renewal?.mayLeavePinOut(card)) return say("C-213", "PIN番号が入力されていません。", "PIN番号を入力してください。", at("pin"));
  if (card.final_try && !at("last-try").checked) return say("C-211", "PIN番号をあと1回間違えると、ICカードが使えなくなります。", "PIN番号を確かめて、「PIN番号を確かめました」に印を付けてください。", at("last-try"));
  return null;
}

function showAccess(on) {
  accessing = on;
  // Blocked for exactly as long as the card is used; the text and its moving dots are the manual's.
  at("form").inert = on;
  at("accessing").classList.toggle("moving", on);
  at("accessing").textContent = on ? "ただいまICカードにアクセス中です。しばらくお待ち下さい。" : "";
  if (on) at("accessing").scrollIntoView({ block: "nearest" });
}

function finish(answer, card) {
  if (answer.reply) {
    leave(answer.reply);
    return;
  }
  if (renewal?.goOn(answer, card)) return;
  if (answer.choose) {
    offered = answer.choose;
    showCards({ cards: offered.map((row) => ({ ...card, ...row })), faults: [] });
    const sentence = offered.length > 1 ? "このICカードには、証明書が二つ以上あります。" : "ICカードの証明書を読み取りました。";
    showRefusals([{ code: "C-207", sentence, remedy: "使う証明書を選び、PIN番号をもう一度入力してください。" }]);
    lastCode = null;
  } else if (answer.final) {
    stopHere(answer.refusals);
    return;
  } else {
    showRefusals(answer.refusals);
  }
  at("pin").focus();
}

at("form").addEventListener("submit", useCard);
at("cancel").addEventListener("click", () => {
  if (renewal?.confirms()) return leave({ type: "restart" });
  lastCode = lastCode === "C-212" ? lastCode : null;
  return giveUp();
});
at("close").addEventListener("click", giveUp);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !accessing) giveUp();
});
window.addEventListener("pagehide", () => answerSite({ type: "cancelled" }));

if (opener) {
  window.addEventListener("message", hear);
  opener.postMessage({ type: "card-agent-ready", v: 1 }, "*"); // tells nothing but that we are here
} else {
  at("waiting").textContent = "この画面は、電子入札システムのボタンから開きます。ブラウザの電子入札システムの画面に戻ってください。";
}
