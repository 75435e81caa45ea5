/**
 * A picture of the whole page for people to look at. Chromium sometimes stays
 * away from one of a page that moves (video, a live meter): then one of what is
 * on the screen is made, and a picture that fails too fails nobody's walk, since
 * what must hold of a page is asserted on the page.
 */
export async function picture(page, path) {
  try {
    await page.screenshot({ path, fullPage: true, timeout: 20_000 })
  } catch {
    await page.screenshot({ path, timeout: 20_000 }).catch(() => process.stderr.write(`no picture ${path}\n`))
  }
}
