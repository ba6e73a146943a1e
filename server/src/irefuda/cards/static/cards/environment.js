// 利用環境の確認: every item is looked at live; what needs the card agent waits for the press, because of its popup.

import { POPUP, REFUSALS, Refused, answerFrom, findAgent } from "./card-dialogue.js";
import { checkCode } from "./check-code.js";

const form = document.querySelector("form[data-environment]");
const WORDS = { yet: "まだ", running: "確認中", good: "よい", bad: "問題あり", "after-pin": "PIN番号の入力後に確認できます" };
const NAMES = ["browser", "script", "cookie", "clock", "popup", "agent", "reader", "card", "certificate"];
// Where the parts that the pages use came with; Chromium and Firefox are what our tests run.
const LEAST = { Edge: 105, Chrome: 105, Firefox: 105, Safari: 16 };
const MINUTE = 60_000;
const TOLERANCE = 2 * MINUTE;
const SOON_DAYS = 60;
const OF_READER = ["C-201", "C-202"];
const OF_CARD = ["C-203", "C-206", "C-207", "C-211", "C-212", "C-216", "C-217", "C-218", "C-226"];

const states = {};
const codes = {};
let serverAhead = null; // milliseconds that the server's clock is ahead of this browser's
let agentVersion = "";
let running = false;

const row = (item) => document.querySelector(`[data-check="${item}"]`);

function paragraph(text) {
  const made = document.createElement("p");
  const [, words, code] = /^(.*?)(（[CK]-\d{3}）)?$/.exec(text);
  made.textContent = words;
  if (code) {
    const unbroken = document.createElement("span");
    unbroken.className = "nowrap";
    unbroken.textContent = code;
    made.append(unbroken);
  }
  return made;
}

function show(item, state, lines = [], code = "") {
  const result = row(item).querySelector("[data-result]");
  states[item] = state;
  codes[item] = code;
  const said = result.querySelector(".check-state");
  said.dataset.state = state;
  said.querySelector("[data-words]").textContent = WORDS[state];
  result.querySelector("[data-told]").replaceChildren(...lines.map(paragraph));
  result.querySelector("[data-help]").hidden = state !== "bad";
}

function showRefusal(item, code, [sentence, remedy] = REFUSALS[code] ?? REFUSALS["C-219"]) {
  show(item, "bad", [`${sentence}（${code}）`, remedy], code);
}

// ---- what needs no press: browser, cookies, clock ----

function thisBrowser() {
  const said = navigator.userAgent;
  const found = [["Edge", /Edg\/(\d+)/], ["Chrome", /Chrome\/(\d+)/], ["Firefox", /Firefox\/(\d+)/], ["Safari", /Version\/(\d+).*Safari/]]
    .map(([name, pattern]) => [name, Number(pattern.exec(said)?.[1])])
    .find(([, major]) => major);
  const [browser, major] = found ?? ["other", 0];
  const system = [["Windows", /Windows/], ["iOS", /iPhone|iPad/], ["macOS", /Mac OS/], ["Android", /Android/], ["Linux", /Linux/]].find(([, pattern]) => pattern.test(said))?.[0] ?? "other";
  return { browser, major, system };
}

function checkBrowser() {
  const { browser, major, system } = thisBrowser();
  const name = browser === "other" ? "名前の分からないブラウザ" : `${browser} ${major}`;
  // The popup reads a stream of lines, and a phone has no card reader.
  const able = typeof TextDecoderStream === "function" && typeof Element.prototype.replaceChildren === "function";
  if (!able || major < (LEAST[browser] ?? 0)) {
    show("browser", "bad", [`このブラウザ（${name}）は古いため、使えません。`, "新しいMicrosoft EdgeまたはGoogle Chromeで、この画面を開いてください。"]);
  } else if (["iOS", "Android"].includes(system)) {
    show("browser", "bad", ["スマートフォンやタブレットでは、ICカードを使えません。", "パソコンで、この画面を開いてください。"]);
  } else {
    show("browser", "good", [name]);
  }
}

async function askServer() {
  const before = Date.now();
  const answer = await fetch(form.dataset.clockUrl, { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  const { now, cookies } = await answer.json();
  serverAhead = now - (before + Date.now()) / 2;
  return cookies;
}

async function checkServer() {
  show("cookie", "running");
  show("clock", "running");
  let cookies;
  try {
    cookies = await askServer();
  } catch {
    for (const item of ["cookie", "clock"]) showRefusal(item, "C-223");
    return;
  }
  if (cookies) show("cookie", "good");
  else show("cookie", "bad", ["このサイトのCookieを使えません。", "ブラウザの設定でこのサイトのCookieを許可し、この画面を開き直してください。"]);
  showClock("ブラウザ", -serverAhead);
}

// `ahead`: how far a clock of this computer is ahead of the server's.
function showClock(whose, ahead) {
  if (Math.abs(ahead) <= TOLERANCE) {
    if (states.clock !== "bad") show("clock", "good", ["サーバの時計と合っています。"]);
    return;
  }
  const minutes = Math.round(Math.abs(ahead) / MINUTE);
  show("clock", "bad", [
    `このパソコン（${whose}）の時計が、サーバより約${minutes}分${ahead > 0 ? "進んで" : "遅れて"}います。`,
    "パソコンの「日付と時刻」の設定で、時刻を自動で合わせてください。受付の時刻はサーバの時計で決まりますが、ずれているとICカードの有効期間を正しく確かめられません。",
  ]);
}

// ---- what the popup tells ----

const numbers = (version) => version.split(".").map(Number);

function isOlder(version, minimum) {
  const [ours, least] = [numbers(version), numbers(minimum)];
  for (const [index, part] of least.entries()) {
    if (ours[index] !== part) return !(ours[index] > part);
  }
  return false;
}

function showAgent({ version }) {
  agentVersion = version;
  if (isOlder(version, form.dataset.agentMinimum)) {
    showRefusal("agent", "C-227");
    row("agent").querySelector("[data-told]").append(paragraph(`入っている版：${version}　要る版：${form.dataset.agentMinimum}以上`));
  } else if (form.dataset.agentNewest && isOlder(version, form.dataset.agentNewest)) {
    show("agent", "good", [`版 ${version}`, `新しい版（${form.dataset.agentNewest}）があります。いまの版もそのまま使えます。`]);
    row("agent").querySelector("[data-help]").hidden = false;
  } else {
    show("agent", "good", [`版 ${version}`]);
  }
}

function showReader({ readers, cards, faults }) {
  if (readers > 0) show("reader", "good", [`${readers}台`]);
  else if (cards > 0) show("reader", "good", ["カードリーダーの要らないICカードです。"]);
  else showRefusal("reader", faults.find((code) => OF_READER.includes(code)) ?? (readers === 0 ? "C-202" : "C-201"));
}

function showCard({ cards, faults }) {
  const fault = faults.find((code) => OF_CARD.includes(code) && (cards === 0 || !["C-216", "C-217", "C-218", "C-226"].includes(code)));
  if (fault) return showRefusal("card", fault);
  if (cards > 0) return show("card", "good", [`${cards}枚`, ...faults.filter((code) => code in REFUSALS).map((code) => `${REFUSALS[code][0]}（${code}）`)]);
  if (states.reader === "bad") return show("card", "yet", ["カードリーダーが見つかってから確認できます。"]);
  return showRefusal("card", "C-203");
}

async function showCertificate({ certificate }) {
  if (certificate === "") {
    if (states.card === "good") show("certificate", "after-pin", ["このICカードの証明書は、PIN番号を入力するまで読み取れません。ログインや登録のときに確認します。"]);
    else show("certificate", "yet", ["ICカードが使えるようになってから確認できます。"]);
    return;
  }
  show("certificate", "running");
  let judged;
  try {
    const answer = await fetch(form.dataset.certificateUrl, {
      method: "POST",
      headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
      body: new URLSearchParams({ certificate }),
      credentials: "same-origin",
    });
    judged = answer.ok || answer.status === 429 ? await answer.json() : null;
  } catch {
    judged = null; // said below: the server cannot be reached
  }
  if (judged === null) return showRefusal("certificate", "C-223");
  if (!judged.good) return showRefusal("certificate", judged.code, [judged.sentence, judged.remedy]);
  const soon = judged.days_left < SOON_DAYS ? ["新しいICカードの発行には2〜4週間かかります。早めに認証局に申し込んでください。"] : [];
  return show("certificate", "good", [`有効期限 ${judged.expires_on}（あと${judged.days_left}日）`, ...soon]);
}

function showAnswer(answer) {
  showAgent(answer);
  if (serverAhead !== null) showClock("補助アプリ", Date.parse(answer.agent_time) - (Date.now() + serverAhead));
  showReader(answer);
  showCard(answer);
  return showCertificate(answer);
}

// ---- the press ----

const AFTER_AGENT = ["reader", "card", "certificate"];

async function askAgent(popup, origins, serverAsked) {
  let found = false;
  try {
    const origin = await findAgent(popup, origins, () => {
      // The outcome as it stands; an agent that is slow, or is started now, may still answer, and then the rest follows.
      showFailure("C-222", false);
      sum();
      document.querySelector("[data-summary]").textContent = "補助アプリの応答がありません。あと10秒ほど待っています。";
    });
    found = true;
    for (const item of ["agent", ...AFTER_AGENT]) show(item, "running", item === "agent" ? ["小さな画面で「確認結果をサイトに送る」を押してください。"] : []);
    const answer = answerFrom(popup, origin);
    popup.postMessage({ v: 1, type: "check", purpose: "利用環境の確認" }, origin);
    const checked = await answer;
    await serverAsked;
    await showAnswer(checked);
  } catch (failure) {
    if (!popup.closed) popup.close();
    showFailure(failure instanceof Refused ? failure.code : "C-219", found);
  }
}

function showFailure(code, found) {
  if (code === "C-214") {
    const why = ["小さな画面が閉じられたため、確認できませんでした。もう一度「確認をはじめる」を押してください。"];
    if (states.agent !== "bad") show("agent", found ? "good" : "yet", why);
  } else {
    // An agent that does not know this request is one from before it.
    showRefusal("agent", code === "C-219" ? "C-227" : code);
  }
  for (const item of AFTER_AGENT) show(item, "yet", ["補助アプリから結果が届いてから確認できます。"]);
}

function sum() {
  const bad = NAMES.filter((item) => states[item] === "bad").length;
  const open = NAMES.filter((item) => states[item] === "yet").length;
  const words = bad ? `${bad}件の問題があります。「問題あり」の項目を上から順に直し、もう一度「確認をはじめる」を押してください。`
    : open ? "まだ確認できていない項目があります。"
    : "問題は見つかりませんでした。このパソコンで電子入札システムを使えます。";
  const summary = document.querySelector("[data-summary]");
  summary.dataset.state = bad ? "bad" : open ? "yet" : "good";
  summary.textContent = words;
  document.querySelector("[data-code]").textContent = checkCode({
    states, codes, ...thisBrowser(), version: agentVersion, minutesOff: serverAhead === null ? null : Math.round(-serverAhead / MINUTE),
  });
  const moment = new Date(Date.now() + (serverAhead ?? 0));
  document.querySelector("[data-checked-at]").textContent = moment.toLocaleString("ja-JP", { timeZone: "Asia/Tokyo", dateStyle: "long", timeStyle: "short" });
  document.querySelector("[data-outcome]").hidden = false;
}

async function start(event) {
  event.preventDefault();
  if (running) return;
  running = true;
  // Not `disabled`, which would take the keyboard's place away from whoever pressed it.
  const button = form.querySelector("button");
  button.setAttribute("aria-disabled", "true");
  agentVersion = "";
  const origins = form.dataset.agentPorts.split(" ").map((port) => `http://127.0.0.1:${port}`);
  // In the click itself, before any await, or the browser takes it for an advertisement.
  const popup = window.open(`${origins[0]}/`, "card-agent", POPUP);
  document.querySelector("[data-summary]").textContent = "確認しています。";
  try {
    checkBrowser();
    if (popup === null) showRefusal("popup", "C-221");
    else show("popup", "good");
    for (const item of ["agent", ...AFTER_AGENT]) show(item, popup === null ? "yet" : "running");
    const asked = checkServer();
    if (popup !== null) await askAgent(popup, origins, asked);
    await asked;
    sum();
  } finally {
    running = false;
    button.removeAttribute("aria-disabled");
  }
}

form.addEventListener("submit", start);
show("script", "good");
checkBrowser();
checkServer();
