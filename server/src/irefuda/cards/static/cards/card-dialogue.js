// The site's end of the card dialogue: button -> popup of the companion program -> postMessage -> hidden inputs -> form.
// The PIN is typed in the popup, which is another origin: no script of this site can see it.

const POPUP = "popup,width=480,height=760";
// Three ports have to be tried, and the person told what to do, within 3 seconds.
const WAIT_FOR_PORT = 850;
const WAIT_FOR_LATE_PORT = 3000;

// The same sentences as in the catalogue of refusals; a test compares the two.
const REFUSALS = {
  "C-201": ["ICカードリーダーを使うためのサービスが動いていません。", "パソコンを再起動してください。続くときは、カードリーダーの付属ソフトを入れ直してください。"],
  "C-202": ["ICカードリーダーが見つかりません。", "カードリーダーをパソコンに接続してください。接続しているときは、一度抜いて、別の差し込み口に差してください。"],
  "C-203": ["ICカードが見つかりません。", "ICカードを、ICチップの面の向きを確かめて、カードリーダーの奥まで差し込んでください。"],
  "C-204": ["ICカードが抜かれました。", "何も送られていません。ICカードを差し込み直して、もう一度お試しください。"],
  "C-205": ["選んだICカードと違うICカードが差し込まれています。", "何も送られていません。はじめに選んだICカードを差し込み、選び直してください。"],
  "C-206": ["差し込まれているカードを読み取れません。", "電子入札用のICカードか、裏表が逆でないか確かめてください。続くときは、カードを発行した認証局に連絡してください。"],
  "C-207": ["このICカードには、電子入札に使える証明書がありません。", "電子入札用のICカードか確かめてください。分からないときは、カードを発行した認証局に連絡してください。"],
  "C-208": ["ICカードの有効期限が切れています。", "有効期限内のICカードを差し込んでください。ない場合は、認証局で新しいICカードを取得してください。"],
  "C-209": ["ICカードの有効期間がまだ始まっていません。", "有効期間が始まってから使ってください。パソコンの日付が正しいかも確かめてください。"],
  "C-210": ["PIN番号が違います。", "PIN番号を確かめて、もう一度入力してください。続けて間違えると、ICカードが使えなくなります。"],
  "C-211": ["PIN番号をあと1回間違えると、ICカードが使えなくなります。", "認証局から届いた書類でPIN番号を確かめてください。分からないときは、入力せずに認証局に問い合わせてください。"],
  "C-212": ["PIN番号を続けて間違えたため、ICカードが使えなくなっています（ロック）。", "カードを発行した認証局に連絡してください。解除または再発行の手続きを案内してもらえます。"],
  "C-213": ["PIN番号の文字数が正しくありません。", "PIN番号の文字数を確かめて、もう一度入力してください。この入力は、間違えた回数には数えられていません。"],
  "C-214": ["キャンセルしました。", "続けるときは、もう一度ボタンを押してください。"],
  "C-215": ["このサイトは、補助アプリに登録されていないため、ICカードを使えません。", "アドレスが正しいサイトか確かめてください。正しいときは、補助アプリの「設定」でサイトを追加してください。"],
  "C-216": ["ICカード用のソフト（PKCS#11モジュール）が見つかりません。", "認証局のICカード用ソフトを入れてください。入れてあるときは、補助アプリの「設定」で場所を確かめてください。"],
  "C-217": ["ICカード用のソフトが応答しません。", "何も送られていません。ICカードを差し直して、もう一度お試しください。続くときは、パソコンを再起動してください。"],
  "C-218": ["ICカード用のソフトが途中で止まりました。", "何も送られていません。ICカードを差し直して、もう一度お試しください。続くときは、認証局に連絡してください。"],
  "C-219": ["サイトから受け取った内容を、補助アプリが読み取れません。", "サイトの画面を開き直して、もう一度お試しください。続くときは、補助アプリを最新の版にしてください。"],
  "C-220": ["PIN番号を入力できる回数が残り少なくなっています。", "認証局から届いた書類でPIN番号を確かめてから入力してください。"],
  "C-221": ["補助アプリの小さな画面を開けませんでした（ポップアップの許可が必要です）。", "アドレス欄の近くに出るポップアップの表示を押して「許可」を選び、もう一度ボタンを押してください。"],
  "C-222": ["補助アプリの応答がありません。", "補助アプリを起動してから、もう一度ボタンを押してください。入っていないときは、「補助アプリの入手」のページのとおりに入れてください。"],
  "C-223": ["サーバと通信できませんでした。", "インターネットの接続を確かめて、もう一度ボタンを押してください。続くときはヘルプデスクに連絡してください。"],
  "C-224": ["この手続きに使うICカードが差し込まれていません。", "この手続きをはじめたときのICカードを差し込んでください。"],
  "C-225": ["補助アプリの設定ファイルに誤りがあります。", "「irefuda-card check」で誤りの場所を確かめて直し、「利用環境の確認」で使えることを確かめてから、もう一度ボタンを押してください。"],
  "C-226": ["ICカード用のソフト（PKCS#11モジュール）を読み込めません。", "このパソコンに合う版（64ビット版など）かを確かめ、認証局の案内のとおりにソフトを入れ直してください。"],
  "C-227": ["補助アプリの版が古いため、このシステムでは使えません。", "「補助アプリの入手」のページから新しい版を入れ、補助アプリを起動し直してから、もう一度お試しください。"],
  "C-228": ["短い間に続けて確認したため、いまは確認できません。", "1分ほど待ってから、もう一度お試しください。"],
  "C-231": ["サイトの確認の結果が、60秒待っても届きませんでした。", "何も更新されていません。サイトの画面に戻り、「ICカード更新」をもう一度はじめてください。"],
  "C-232": ["現在使用しているICカードのPIN番号は、新しいICカードのPIN番号と違いました。", "PIN番号の間違い1回分として数えられています。新しいICカードのPIN番号を確かめて、入力してください。"],
  "R-131": ["現在のICカードと新しいICカードが同じです。", "新しいICカードに差し替えて、もう一度お試しください。"],
  "K-440": ["この文書は、補助アプリが知っている種類の文書ではないため、署名できません。", "補助アプリを最新の版にして、もう一度お試しください。"],
  "K-441": ["サイトから届いた「電子証明書更新確認」の内容が、ここで使った2枚のICカードと合わないため、署名しません。", "何も更新されていません。サイトの画面に戻り、「ICカード更新」をもう一度はじめてください。続くときはヘルプデスクに連絡してください。"],
};

const running = new WeakSet();

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function say(form, lines, isError = false) {
  const status = form.querySelector("[data-card-status]");
  status.toggleAttribute("data-error", isError);
  status.replaceChildren(...lines.map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
}

function sayRefusal(form, code) {
  const [sentence, remedy] = REFUSALS[code] ?? REFUSALS["C-219"];
  say(form, [`${sentence}（${code}）`, remedy], true);
}

class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

// Resolves with the origin of the companion program that said "ready" in this popup.
// `whenSlow` is called once, within 3 seconds of the press.
async function findAgent(popup, origins, whenSlow) {
  let ready = null;
  const listen = (event) => {
    if (event.source === popup && origins.includes(event.origin) && event.data?.type === "card-agent-ready" && event.data.v === 1) {
      ready = event.origin;
    }
  };
  window.addEventListener("message", listen);
  try {
    for (const wait of [WAIT_FOR_PORT, WAIT_FOR_LATE_PORT]) {
      for (const [index, origin] of origins.entries()) {
        if (wait !== WAIT_FOR_PORT || index > 0) popup.location.replace(`${origin}/`);
        // By the clock, not by counting: on a busy computer every sleep is longer than asked for.
        for (const until = performance.now() + wait; performance.now() < until && ready === null && !popup.closed;) await sleep(50);
        if (ready !== null) return ready;
        if (popup.closed) throw new Refused("C-214");
      }
      // Said early; a slow computer gets a second, longer round while the advice already stands there.
      if (wait === WAIT_FOR_PORT) whenSlow();
    }
  } finally {
    window.removeEventListener("message", listen);
  }
  throw new Refused("C-222");
}

async function freshNonce(form) {
  let answer;
  try {
    answer = await fetch(form.dataset.nonceUrl, {
      method: "POST",
      headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
      credentials: "same-origin",
    });
  } catch {
    throw new Refused("C-223");
  }
  if (!answer.ok) throw new Refused("C-223");
  return (await answer.json()).nonce;
}

async function requestOf(form) {
  const common = { v: 1, purpose: form.dataset.purpose ?? "" };
  if (form.dataset.cardDialogue === "authenticate") {
    return { type: "authenticate", nonce: await freshNonce(form), ...common };
  }
  const value = (name) => form.elements[name].value;
  return { type: "sign", document: value("document"), document_type: value("document_type"), fingerprint: value("fingerprint"), ...common };
}

// Resolves with the companion program's answer; only this popup at this origin is listened to.
function answerFrom(popup, origin) {
  return new Promise((resolve, reject) => {
    let closedFor = 0;
    const watch = setInterval(() => {
      // The answer and the closing race each other: leave the message half a second.
      closedFor = popup.closed ? closedFor + 1 : 0;
      if (closedFor > 2) finish(() => reject(new Refused("C-214")));
    }, 250);
    const listen = (event) => {
      if (event.source !== popup || event.origin !== origin || event.data?.v !== 1) return;
      if (["token", "signed", "checked"].includes(event.data.type)) finish(() => resolve(event.data));
      if (event.data.type === "cancelled") finish(() => reject(new Refused("C-214")));
      if (event.data.type === "refused") finish(() => reject(new Refused(String(event.data.code))));
    };
    const finish = (settle) => {
      clearInterval(watch);
      window.removeEventListener("message", listen);
      settle();
    };
    window.addEventListener("message", listen);
  });
}

function fillIn(form, answer) {
  if (answer.type === "token") {
    form.elements.token.value = JSON.stringify(answer.token);
    form.elements.person_in_charge.value = answer.person_in_charge;
  } else {
    form.elements.jws.value = answer.jws;
  }
}

async function converse(form, popup, origins) {
  const origin = await findAgent(popup, origins, () => sayRefusal(form, "C-222"));
  say(form, ["補助アプリの小さな画面で、PIN番号を入力してください。"]);
  const request = await requestOf(form);
  const answer = answerFrom(popup, origin);
  popup.postMessage(request, origin);
  fillIn(form, await answer);
  say(form, ["ICカードの確認が終わりました。送信しています。"]);
  // Not requestSubmit(): that would start the dialogue again.
  form.submit();
}

async function start(event) {
  event.preventDefault();
  const form = event.currentTarget;
  if (running.has(form)) return;
  const origins = form.dataset.agentPorts.split(" ").map((port) => `http://127.0.0.1:${port}`);
  // In the click itself, before any await, or the browser takes it for an advertisement.
  const popup = window.open(`${origins[0]}/`, "card-agent", POPUP);
  if (popup === null) {
    sayRefusal(form, "C-221");
    return;
  }
  running.add(form);
  say(form, ["補助アプリを呼び出しています。"]);
  try {
    await converse(form, popup, origins);
  } catch (failure) {
    if (!popup.closed) popup.close();
    sayRefusal(form, failure instanceof Refused ? failure.code : "C-219");
  } finally {
    running.delete(form);
  }
}

export { POPUP, REFUSALS, Refused, answerFrom, findAgent, say, sayRefusal };

for (const form of document.querySelectorAll("form[data-card-dialogue]")) form.addEventListener("submit", start);
