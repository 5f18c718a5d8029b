// "View source": shows the very file that the page runs.

/**
 * @param {HTMLDetailsElement} details filled when it is opened, with its summary and a `code` in it.
 * @param {() => string} address of the file to show; asked each time that it is opened.
 */
export function viewSource(details, address) {
  const show = async () => {
    const file = address();
    const text = await (await fetch(file)).text();
    if (file !== address()) return; // another one by now
    details.querySelector("code").textContent = text.trimEnd();
    details.dataset.shows = file;
  };
  details.addEventListener("toggle", () => details.open && show());
  return show;
}
