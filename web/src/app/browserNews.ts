const key = "firmlight.browser-news";

/** Whether the user wants notifications of the browser, and it lets us. */
export const wantsBrowserNews = (): boolean =>
  "Notification" in window && Notification.permission === "granted" && localStorage.getItem(key) === "1";

/** Switches them; returns whether they are on now, as the browser may say no. */
export async function setBrowserNews(on: boolean): Promise<boolean> {
  if (on && "Notification" in window && (await Notification.requestPermission()) === "granted")
    localStorage.setItem(key, "1");
  else localStorage.removeItem(key);
  return wantsBrowserNews();
}

/** Shows one where nobody looks at the page. */
export function showInBrowser(id: string, text: string, open: () => void): void {
  if (document.visibilityState === "visible" || !wantsBrowserNews()) return;
  const n = new Notification("Firmlight", { body: text, tag: id, icon: "/favicon.svg" });
  n.onclick = () => {
    window.focus();
    open();
    n.close();
  };
}
