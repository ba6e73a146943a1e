// The page of the settings: reads them once, sends them back once, and shows at each field what is wrong.

const { secret } = document.body.dataset;
const at = (id) => document.getElementById(id);
const KINDS = { sites: ["site-template", "サイト"], modules: ["module-template", "ソフト"] };

async function call(path, body = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Card-Agent-Secret": secret },
    body: JSON.stringify(body),
  });
  return answer.json();
}

function add(kind, values = {}) {
  const entry = at(KINDS[kind][0]).content.firstElementChild.cloneNode(true);
  for (const field of entry.querySelectorAll("[name]")) {
    const value = values[field.name];
    if (value !== undefined) field.value = Array.isArray(value) ? value.join("\n") : value;
  }
  entry.querySelector(".remove").addEventListener("click", () => {
    entry.remove();
    number(kind);
    at(kind === "sites" ? "add-site" : "add-module").focus();
  });
  at(kind).append(entry);
  number(kind);
  return entry;
}

// Names, ids and headings follow the entries' present order.
function number(kind) {
  [...at(kind).children].forEach((entry, index) => {
    const title = `${KINDS[kind][1]}${index + 1}`;
    entry.querySelector("legend").textContent = title;
    entry.querySelector(".remove").textContent = `${title}を外す`;
    for (const field of entry.querySelectorAll("[name]")) {
      field.id = `${kind}.${index}.${field.name}`;
      field.closest("p").querySelector("label").htmlFor = field.id;
      const error = field.closest("p").querySelector(".field-error");
      error.id = `${field.id}-error`;
      field.setAttribute("aria-describedby", error.id);
    }
  });
}

function entries(kind) {
  return [...at(kind).children].map((entry) => Object.fromEntries([...entry.querySelectorAll("[name]")].map((field) => [field.name, field.value.trim()])));
}

function showErrors(errors) {
  for (const error of document.querySelectorAll(".field-error")) error.textContent = "";
  for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  const list = document.createElement("ul");
  for (const { where, message } of errors) {
    const item = document.createElement("li");
    const field = where ? at(where) : null;
    if (field) {
      field.setAttribute("aria-invalid", "true");
      at(`${where}-error`).textContent = message;
      const link = document.createElement("a");
      link.href = `#${where}`;
      link.textContent = message;
      link.addEventListener("click", (event) => {
        event.preventDefault();
        field.focus();
      });
      item.append(link);
    } else {
      item.textContent = message;
    }
    list.append(item);
  }
  const box = document.createElement("div");
  box.className = "error";
  const said = document.createElement("p");
  said.className = "sentence";
  said.textContent = "保存していません。次のところを直してください。";
  box.append(said, list);
  at("alert").replaceChildren(box);
  at("alert").focus();
}

function close(sentence) {
  at("form").hidden = true;
  at("alert").replaceChildren();
  at("done").textContent = sentence;
}

async function save(event) {
  event.preventDefault();
  const answer = await call("/api/save", { passphrase: at("passphrase").value.trim(), sites: entries("sites"), modules: entries("modules") });
  if (answer.errors) return showErrors(answer.errors);
  close("保存しました。動いている補助アプリには、次に小さな画面を開いたときから反映されます。この画面は閉じてください。");
}

async function start() {
  // Belt and braces: the server has let in only what no page opened.
  if (window.opener !== null || window !== window.top) return;
  const settings = await call("/api/read");
  at("path").textContent = settings.path;
  at("passphrase").value = settings.passphrase;
  at("ports").textContent = settings.ports.join("、");
  for (const kind of Object.keys(KINDS)) for (const values of settings[kind]) add(kind, values);
  at("add-site").addEventListener("click", () => add("sites").querySelector("[name]").focus());
  at("add-module").addEventListener("click", () => add("modules").querySelector("[name]").focus());
  at("form").addEventListener("submit", save);
  at("end").addEventListener("click", async () => {
    await call("/api/end");
    close("設定は変えていません。この画面は閉じてください。");
  });
  at("form").hidden = false;
}

start();
