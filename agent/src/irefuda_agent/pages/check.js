// 利用環境の確認 in the popup: says what the site would be told, and sends it when the person agrees. No PIN is asked for.

const at = (id) => document.getElementById(id);

// The dialogue without a PIN: what will be told stands above the cards, and the button says what it does.
export function showCheck(asked, element) {
  document.title = "利用環境の確認｜補助アプリ";
  at("title").textContent = "利用環境の確認";
  at("pin").closest(".field").hidden = at("person").closest(".field").hidden = true;
  at("pin-instruction").hidden = true;
  at("form").querySelector("legend").textContent = "確認するICカード";
  const send = at("form").querySelector('button[type="submit"]');
  send.textContent = "確認結果をサイトに送る";
  send.disabled = true; // until the first look at the readers has come
  const told = element("div");
  told.id = "told";
  const list = element("ul");
  list.append(...[
    `補助アプリの版（${asked.version}）と、このパソコンの時刻`,
    "カードリーダーとICカードの数、見つかった問題の番号",
    "下で選んだICカードの証明書（会社名、氏名、有効期限など、PIN番号なしで読める公開の情報）",
  ].map((text) => element("li", text)));
  told.append(element("h2", "サイトに送る内容"), list, element("p", "PIN番号は使いません。送るまでは、何も伝わりません。"));
  at("asked").after(told);
  at("title").focus();
}

// Resolves with the program's answer; without a card the rest is told all the same.
export async function askCheck(call, card) {
  const named = card && { module: card.module, slot_id: card.slot_id, token_serial: card.token_serial, fingerprint: card.fingerprint };
  return (await call("/api/check", named ? { card: named } : {})).json();
}
