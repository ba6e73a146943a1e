// What every page does beyond plain HTML: the clock ticks, the print links print, the end of a login is announced.
import { startClocks } from "./clock.js";
import { bindPrintLinks } from "./print.js";
import { watchSession } from "./session.js";

startClocks(document);
bindPrintLinks(document);
watchSession(document);
