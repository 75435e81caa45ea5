// What three pages on the real stack do when something of it goes away under
// them: the door, a message of the chair, a page that another one replaces. Part
// of rehearse.mjs, run by `kuule-demo rehearse --browser --faults`.
import assert from 'node:assert/strict'

const words = {
  mute: /^(Sulje mikrofoni|Turn microphone off|إغلاق الميكروفون)/,
  unmute: /^(Avaa mikrofoni|Turn microphone on|تشغيل الميكروفون)/,
}

/** The self-test in the waiting room, before anything goes away: every way to the media server, each alone. */
export async function networkSteps({ step, terminal, counsel }) {
  await step('network measured', async () => {
    const found = []
    for (const p of [counsel, terminal]) {
      await p.page.locator('.network-test button').first().click()
      await p.page.locator('.network-test .notice').waitFor({ timeout: 120_000 })
      const rows = p.page.locator('table.legs tbody tr')
      const legs = await rows.evaluateAll((all) => all.map((r) => `${r.dataset.leg} ${r.dataset.state} ${[...r.querySelectorAll('td')].slice(1).map((c) => c.textContent).join(' ')}`))
      // A browser that does not trust the relay's certificate finds TLS closed; all others are there.
      for (const leg of ['direct-udp', 'direct-tcp', 'udp', 'tcp']) assert.ok(legs.some((l) => l.startsWith(`${leg} works`)), legs.join('; '))
      await p.shot('network')
      found.push(`${p.device}: ${legs.join('; ')}`)
    }
    return found.join(' · ')
  })
}

export async function faultSteps({ step, until, ask, all, interviewer, terminal, counsel, talk, agree, goOnRecord, shots }) {
  const recordings = async (p, since) => (await p.probe('recordings')).filter(([, last]) => last >= since).map(([id]) => id).toSorted()

  /** Brings a device's page back into its seat, as the launcher would. */
  async function again(p) {
    await p.page.goto('about:blank')
    await p.page.goto((await ask('resume', { device: p.device })).url)
    await p.page.locator('.phase-bar').waitFor()
  }

  /**
   * A page that comes in while on record has a second and a half until a recorder
   * keeps what it sends; on a busy machine that is too short, and the hearing pauses.
   */
  async function onRecordAgain() {
    await new Promise((resolve) => setTimeout(resolve, 2000))
    if ((await interviewer.page.locator('.sign.on').count()) > 0) return 'on record all the time'
    return `paused, and on record again ${await goOnRecord(/^Jatka/)} ms after asking`
  }

  const tiles = (p, name) => p.page.locator('.tile', { hasText: name }).count()

  await step('on record', async () => `${await goOnRecord(/^Aloita tallenne/)} ms after asking`)

  await step('door killed, back', async () => {
    await counsel.press(words.mute)
    for (const p of [interviewer, terminal]) await p.page.locator('.tile .tag.muted').waitFor()
    const before = await recordings(interviewer, Date.now() - 3000)
    assert.equal(before.length, 2, 'two recorders')
    const killed = Date.now()
    await ask('kill-door')
    // Heartbeats go through the door: what comes now came by a new one.
    await Promise.all(all.map((p) => until(`${p.device} hears of the recorders again`, 60_000, async () => {
      const now = await recordings(p, killed + 1000)
      return [now.length >= 2, now]
    })))
    const back = Date.now() - killed
    // Nobody pressed anything: who was off is off, and who spoke is heard.
    await counsel.page.getByRole('button', { name: words.unmute }).first().waitFor()
    for (const p of [interviewer, terminal]) await p.page.locator('.tile .tag.muted').waitFor()
    await counsel.press(words.unmute)
    const heard = await talk()
    // What is not kept is not said to be: the interviewer goes on (the rule after every failure).
    const left = await Promise.all(all.map(async (p) => (await p.probe('signs')).find((s) => s.at >= killed && !/\bon\b/.test(s.now))?.at - killed))
    assert.ok(Math.max(...left) <= 5000, `pages left "on record" after ${left.join(', ')} ms`)
    const took = await goOnRecord(/^Jatka/)
    const after = await recordings(interviewer, Date.now() - 3000)
    assert.ok(after.length === 2 && after.every((r) => !before.includes(r)), `${before} ${after}`)
    return `SIGKILL; back in the same seats by themselves, both recorders write again after ${back} ms, the microphone still off, then ${heard}; paused meanwhile (after ${left.join(', ')} ms), on record again ${took} ms after asking`
  })

  await step('seat opened twice', async () => {
    const first = counsel.page
    await counsel.press(words.mute)
    counsel.page = await counsel.another()
    await counsel.enter()
    await counsel.signIn()
    await counsel.page.locator('.phase-bar').waitFor() // led back to the seat, which this page takes
    await first.getByRole('heading', { level: 1, name: 'Huone on auki toisella sivulla' }).waitFor()
    await first.screenshot({ path: `${shots}counsel-superseded.png` })
    await counsel.page.getByRole('button', { name: words.unmute }).first().waitFor() // still off, as it was in the first
    await counsel.press(words.unmute)
    const code = await agree()
    const heard = await talk()
    for (const p of [interviewer, terminal]) {
      await until(`${p.device} sees counsel once`, 30_000, async () => [(await tiles(p, counsel.names[0])) === 1, await tiles(p, counsel.names[0])])
    }
    assert.equal(await first.locator('.phase-bar').count(), 0, 'the first page stays out')
    await first.close()
    return `the newer page has it, the older one says so and stays out; ${code}; ${heard}; ${await onRecordAgain()}`
  })

  for (const [on, what] of [['way', 'lost on its way'], ['back', 'taken, its answer lost']]) {
    await step(`roster ${what}`, async () => {
      await interviewer.probe('lose', 'roster', on)
      await again(counsel) // a new member: the chair signs anew
      await until('the roster is lost', 30_000, async () => [(await interviewer.probe('lost')).includes('roster'), 0])
      const heard = await talk()
      return `posted again over a new connection: ${await agree()}; ${heard}; ${await onRecordAgain()}`
    })
  }

  await step('chair gone with its roster', async () => {
    await interviewer.probe('lose', 'roster', 'page')
    await again(counsel)
    await interviewer.page.waitForURL('about:blank')
    await again(interviewer)
    const heard = await talk()
    return `another page of the chair goes on from what the door has: ${await agree()}; ${heard}; ${await onRecordAgain()}`
  })

  await step('no errors but broken connections', async () => {
    const wrong = all.map((p) => [p.device, ...p.wrong.filter((w) => !/WebSocket connection|Failed to load resource/.test(w))])
    assert.deepEqual(wrong.filter((w) => w.length > 1), [])
  })
}
