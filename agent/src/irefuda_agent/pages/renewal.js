// ICカード更新 in the popup: the manual's two messages, the old card, the new card, the site's answer, 「更新」.

const OLD = "現在使用しているICカード";
const NEW = "新規に使用するICカード";
const FIRST = "現在使用しているICカードがICカードリーダーに正しく挿入されていることを確認して「OK」ボタンをクリックしてください。";
const SECOND = "新しいICカードがICカードリーダーに正しく挿入されていることを確認して「OK」ボタンをクリックしてください。";
const NO_LONGER_LOGGED_IN = "新規に使用するICカードとの接続が切れています。そのICカードを差し込み、PIN番号を入力して「更新」を押してください。";
// Side by side from here on: wide enough for two certificates, where the screen has the room.
const WIDE = 1040;
const HIGH = 900;

const at = (id) => document.getElementById(id);

// `page` is what dialog.js lends: element, rows, call, answers to the site, the list of cards.
export function startRenewal(asked, page) {
  let step = "old";
  let old = null; // fingerprint of the old card, once it has signed
  let fresh = null; // fingerprint of the new card, where it was known before its PIN
  let pinKept = false;
  let loggedIn = false;
  let ended = false;

  const submit = at("form").querySelector('button[type="submit"]');
  const legend = at("form").querySelector("legend");

  function start() {
    document.title = "ICカード更新｜補助アプリ";
    at("title").textContent = "ICカード更新";
    say(FIRST, () => showForm(OLD, { handover: true }));
  }

  // ---- the manual's messages, each a screen of its own ----

  function say(text, goOn) {
    at("form").hidden = at("document").hidden = true;
    at("message").hidden = false;
    at("message-text").textContent = text;
    at("message-ok").onclick = () => {
      at("message").hidden = true;
      goOn();
    };
    at("message-ok").focus();
  }

  function showForm(heading, { handover = false } = {}) {
    legend.textContent = heading;
    at("document").hidden = !handover;
    at("person").closest(".field").hidden = !handover;
    at("form").hidden = false;
    page.refreshCards();
    at("pin").focus();
  }

  // ---- the old card: what it signs is shown before the PIN ----

  function showHandover(card) {
    at("document-title").textContent = asked.title;
    const certificate = [["証明書シリアル番号", card?.serial], ["証明書発行者", card?.issuer], ["証明書有効期限", card?.expires_on], ["証明書の指紋（SHA-256）", card?.fingerprint]];
    const unread = card ? "（PIN番号を入力した後に読み取ります）" : "（ICカードを選んでください）";
    const sections = [...asked.sections, [OLD, certificate.map(([label, value]) => [label, value || unread])], ["申請者", [["担当者", "（下の欄に入力した名前）"]]]];
    const shown = JSON.stringify(sections);
    if (at("document-fields").dataset.shown === shown) return; // a reader's place in it is kept
    at("document-fields").dataset.shown = shown;
    at("document-fields").replaceChildren(...sections.flatMap(([heading, rows]) => [page.element("h3", heading), page.list(rows)]));
  }

  // ---- the new card ----

  function mayLeavePinOut(card) {
    return step === "new" && pinKept && !card.few_tries && !card.final_try && !card.locked;
  }

  function instruct(card) {
    if (step === "new" && (!card || mayLeavePinOut(card)) && pinKept) {
      return "PIN番号が「現在使用しているICカード」と同じときは、空欄のまま「OK」を押してください（1回だけ試します）。違うときは、新しいICカードのPIN番号を入力してください。";
    }
    if (step === "confirm") return NO_LONGER_LOGGED_IN;
    return step === "new" ? "新しいICカードのPIN番号を入力してください。" : "PIN番号を入力してください。";
  }

  // ---- the site ----

  function askSite(told) {
    at("form").hidden = true;
    at("waiting").textContent = "サイトで確認しています。しばらくお待ちください";
    at("waiting").classList.add("moving");
    at("waiting").hidden = at("close-row").hidden = false;
    at("close").textContent = "キャンセル";
    at("title").focus();
    // The second and last message that is ever read, from the same window and the same site.
    const hearLast = async (event) => {
      if (event.source !== window.opener || event.origin !== page.site()) return;
      window.removeEventListener("message", hearLast);
      page.finish(await (await page.call("/api/renewal/site", { origin: event.origin, message: event.data })).json());
    };
    window.addEventListener("message", hearLast);
    page.tellSite(told);
  }

  // ---- 「電子証明書更新確認」 ----

  function showConfirmation(answer) {
    at("waiting").hidden = at("close-row").hidden = true;
    at("confirmation-title").textContent = answer.title;
    at("both-cards").replaceChildren(...answer.cards.map(section));
    at("other-fields").replaceChildren(...answer.others.map(section));
    at("confirmation").hidden = at("form").hidden = false;
    document.querySelector("main").classList.add("wide");
    window.resizeTo(Math.min(WIDE, screen.availWidth), Math.min(HIGH, screen.availHeight));
    legend.textContent = NEW;
    submit.textContent = "更新";
    at("cancel").textContent = "戻る";
    page.refreshCards();
    at("confirmation-title").focus();
    window.scrollTo(0, 0);
  }

  function section([heading, rows]) {
    const made = page.element("section", undefined, "values-of");
    made.append(page.element("h3", heading), page.list(rows));
    return made;
  }

  // ---- what dialog.js asks ----

  function takes(card) {
    if (step === "old") return card.choosable || (card.expired && !card.locked);
    if (step === "confirm") return card.choosable && ["", fresh].includes(card.fingerprint);
    return card.choosable && card.fingerprint !== old;
  }

  function noteOf(card) {
    if (step === "old" && card.expired && !card.locked) return "有効期限が切れています。調達機関が認めるときだけ、現在使用しているICカードとして使えます。";
    if (step === "new" && card.fingerprint !== "" && card.fingerprint === old) return "今使っているカードです。新しいカードに差し替えてください。";
    if (card.note) return card.note;
    return card.choosable && !takes(card) ? "この手続きで確かめた、新規に使用するICカードではありません。" : "";
  }

  function chosen(card) {
    if (step === "old") showHandover(card);
    at("card-part").hidden = step === "confirm" && loggedIn;
    at("pin-instruction").textContent = instruct(card);
  }

  // Takes the program's word for where the renewal is; returns whether the answer took it on.
  function goOn(answer, card) {
    if ("pin_kept" in answer) pinKept = answer.pin_kept;
    if ("logged_in" in answer) loggedIn = answer.logged_in;
    if (answer.step === undefined) {
      page.refreshCards();
      if (answer.refusals?.length !== 0) return false;
      at("pin").focus();
      return true;
    }
    page.forgetChoice();
    step = answer.step;
    if (step === "new") {
      old = card.fingerprint;
      pinKept = true;
      say(SECOND, () => showForm(NEW));
    } else if (step === "site") {
      fresh = answer.fingerprint;
      askSite(answer.tell);
    } else if (step === "confirm") {
      showConfirmation(answer);
    } else {
      page.leave(); // the site has said why on its own page
    }
    return true;
  }

  // A line of the program, several times in a minute: the state, and why it has ended.
  function notice(line) {
    ended = line.step === "ended";
    if (line.refusals.length > 0) return page.stopHere(line.refusals);
    if (line.step !== step || page.isAccessing()) return undefined;
    const changed = line.pin_kept !== pinKept || line.logged_in !== loggedIn;
    [pinKept, loggedIn] = [line.pin_kept, line.logged_in];
    if (changed && line.cards === undefined) page.refreshCards();
    return undefined;
  }

  at("message-cancel").addEventListener("click", page.giveUp);
  start();
  return {
    takes, noteOf, chosen, goOn, notice, mayLeavePinOut,
    signsWithoutPin: () => step === "confirm" && loggedIn,
    path: () => `/api/renewal/${{ confirm: "sign" }[step] ?? step}`,
    // One card only may sign now, and 「戻る」 begins from the old card again, with nothing kept.
    confirms: () => step === "confirm",
    hasEnded: () => ended,
  };
}
