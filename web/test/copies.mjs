// The copies' part of the browsers' rehearsal: the interviewer downloads a voice
// and a sealed copy; then counsel, in another browser, asks to listen, the
// interviewer decides, and counsel opens the recording without any copy.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

const surveyed = async (page) => {
  await page.locator('.player').waitFor()
  await page.locator('.player [role="status"]', { hasText: /tarkistetaan/ }).waitFor({ state: 'detached' })
}

export async function downloads({ person }) {
  const { page } = person
  await page.getByLabel(/^Käyttötarkoitus/).fill('Jäljennös valitusta varten (harjoitus)')
  await person.press(/^Avaa tallenne/)
  await surveyed(page)
  await page.locator('.copies > summary').first().click()
  const take = async (option) => {
    await page.locator('.copies .select-button').first().click()
    await page.getByRole('option').nth(option).click()
    const [file] = await Promise.all([page.waitForEvent('download'), option === 0 ? seal() : person.press(/^Tee ja lataa/)])
    return { name: file.suggestedFilename(), content: readFileSync(await file.path()) }
  }
  const seal = async () => {
    await page.locator('.copies').getByLabel(/^Kenelle/).first().fill('Erik Lindqvist')
    await person.press(/^Tee ja lataa/)
  }
  const voice = await take(3)
  assert.equal(voice.content.subarray(0, 4).toString('hex'), '1a45dfa3', `${voice.name} is a WebM`)
  const sealed = await take(0)
  assert.ok(sealed.content.subarray(0, 21).toString() === 'age-encryption.org/v1', 'the sealed copy is an age file')
  const passphrase = await page.locator('.passphrase code').innerText()
  assert.match(passphrase, /^(\w{4}-){4}\w{4}$/)
  await person.shot('copy-passphrase')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.locator('.copies').getByLabel(/^Vastaanottajan nimi/).fill('Erik Lindqvist')
  await person.press(/^Kirjaa luovutus/)
  await page.getByText(/^Luovutus on kirjattu/).waitFor()
  await person.shot('copy-made')
  await person.press(/^Lopeta kuuntelu/)
  await page.locator('.player').waitFor({ state: 'detached' })
  // It may be open since the recording was played.
  await page.locator('summary', { hasText: /^Kuka on kuunnellut/ }).evaluate((s) => (s.parentElement.open = true))
  await page.getByText(/vastaanottaja Erik Lindqvist/).first().waitFor()
  return `${voice.name} of ${voice.content.length} bytes; ${sealed.name} of ${sealed.content.length} bytes, its passphrase shown once; the receipt is listed`
}

export async function counselListens({ interviewer, counsel }) {
  const { page } = counsel
  await counsel.press(/^Takaisin/)
  await counsel.press(/^Pyydä lupaa kuunnella/)
  assert.match(await page.getByLabel(/^Puhuttelun tunnus/).inputValue(), /^hrg_/)
  await page.getByLabel(/^Käyttötarkoitus/).fill('Valituksen valmistelu (harjoitus)')
  await counsel.press(/^Lähetä/)
  await page.getByText(/^Odottaa päätöstä/).waitFor()
  await interviewer.press(/^Puhuttelut/)
  await interviewer.page.getByText(/pyytää lupaa kuunnella/).waitFor()
  await interviewer.page.getByLabel(/^Päätöksen perustelu/).fill('Muutoksenhaku on vireillä (harjoitus).')
  await interviewer.shot('counsel-asks')
  await interviewer.press(/^Salli/)
  await counsel.press(/^Avaa tallenne/)
  await surveyed(page)
  await counsel.press(/^Toista/)
  assert.equal(await page.locator('.copies').count(), 0, 'no copies for counsel')
  await counsel.shot('counsel-player')
  await counsel.press(/^Lopeta kuuntelu/)
  await page.locator('.player').waitFor({ state: 'detached' })
  return 'asked in one browser, allowed in another with a reason, opened at counsel’s own workstation; no copies there'
}
