// The clock shows the server's time: what counts is the moment the server wrote, plus what has passed here since.
const JST_MS = 9 * 60 * 60 * 1000;
const two = (number) => String(number).padStart(2, "0");

/** Return 「2026年11月24日09時00分」 for a moment in milliseconds, in Japan's time whatever the computer's zone is. */
export function wording(moment) {
  const at = new Date(moment + JST_MS);
  return `${at.getUTCFullYear()}年${two(at.getUTCMonth() + 1)}月${two(at.getUTCDate())}日${two(at.getUTCHours())}時${two(at.getUTCMinutes())}分`;
}

/** Let every `<time data-clock>` under `root` tick from the server's moment it was written with. */
export function startClocks(root) {
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
