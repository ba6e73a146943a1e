// 「印刷」 and 「大きな文字で印刷」: without this script the same links open the page in its printable form.
export function bindPrintLinks(root) {
  for (const link of root.querySelectorAll("a[data-print]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const large = link.dataset.print === "large";
      const before = document.documentElement.classList.contains("large-print");
      document.documentElement.classList.toggle("large-print", large);
      addEventListener("afterprint", () => document.documentElement.classList.toggle("large-print", before), { once: true });
      print();
    });
  }
}
