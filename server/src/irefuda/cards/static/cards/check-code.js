// The result code of 利用環境の確認, as irefuda_core/check_code.py reads it: how each item came out, in twenty letters.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const FORMAT = 1;
const STATES = ["yet", "good", "bad", "after-pin"];
const ITEMS = ["browser", "cookie", "popup", "agent", "reader", "card", "certificate", "clock"];
const WITH_CODE = ["agent", "reader", "card", "certificate"];
const BROWSERS = ["other", "Edge", "Chrome", "Firefox", "Safari"];
const SYSTEMS = ["other", "Windows", "macOS", "Linux", "Android", "iOS"];
const FARTHEST = 31;
const FAMILIES = { C: [0, 200], K: [0x80, 400] };

const among = (list, name) => Math.max(0, list.indexOf(name));
const upTo = (limit, number) => Math.min(limit, Math.max(0, Math.trunc(number) || 0));

function numberOf(code) {
  const [, family, digits] = /^([CK])-(\d{3})$/.exec(code ?? "") ?? [];
  if (!family) return 0;
  const [mark, first] = FAMILIES[family];
  return mark + upTo(127, digits - first);
}

// states: item -> state; codes: item -> "C-203"; minutesOff: how far this computer's clock is ahead, or null.
export function checkCode({ states, codes, browser, major, system, version, minutesOff }) {
  let bits = "";
  const put = (value, width) => {
    bits += value.toString(2).padStart(width, "0");
  };
  put(FORMAT, 3);
  for (const item of ITEMS) put(among(STATES, states[item]), 2);
  for (const item of WITH_CODE) put(states[item] === "bad" ? numberOf(codes[item]) : 0, 8);
  put(among(BROWSERS, browser), 3);
  put(upTo(511, major), 9);
  put(among(SYSTEMS, system), 3);
  const parts = (version ?? "").split(".");
  for (const index of [0, 1, 2]) put(upTo(63, parts[index]), 6);
  put(minutesOff === null ? 0 : upTo(2 * FARTHEST, Math.trunc(minutesOff) + FARTHEST) + 1, 6);
  const values = bits.match(/.{5}/g).map((five) => parseInt(five, 2));
  const sum = values.reduce((total, value) => (total * 37 + value) % 1021, 0);
  const letters = [...values, sum >> 5, sum & 31].map((value) => ALPHABET[value]).join("");
  return letters.match(/.{4}/g).join("-");
}
