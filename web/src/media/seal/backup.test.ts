import { describe, expect, it } from 'vitest'
import { newID } from '../../api/ids'
import { Backup, Largest } from './backup'
import { toBase64url } from './encoding'

async function make() {
  const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
  const spki = toBase64url(new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey)))
  const facts = { hearing: newID('hrg'), group: newID('grp'), member: newID('mem') }
  const backup = new Backup(spki, facts)
  backup.beat()
  return { backup, track: newID('trk') }
}

describe('a room terminal\'s back-up (H5)', () => {
  it('keeps frames of epochs with a recorder alone', async () => {
    const { backup, track } = await make()
    const raw = new Uint8Array(32).fill(7)
    await backup.key(1, 'roster', 'recorder', { track, source: 'audio', kid: 1024 }, raw)
    backup.frame(1, track, 5, new Uint8Array([1, 2, 3]))
    backup.frame(2, track, 6, new Uint8Array([4, 5, 6])) // a pause: no recorder opened it
    backup.list(2, 'a list of the pause')
    const [chunk, ...more] = backup.take()
    expect(more).toEqual([])
    expect(chunk).toMatchObject({ epoch: 1, roster: 'roster', recorder: 'recorder', frames: [{ track, at: 5, sealed: 'AQID' }], origins: [] })
    expect(chunk.keys).toHaveLength(1)
    expect(JSON.stringify(chunk)).not.toContain(toBase64url(raw))
    expect(backup.take()).toEqual([])
  })

  it('ends when no recorder is heard any more, as the sign on the page does', async () => {
    const { backup, track } = await make()
    await backup.key(1, 'roster', 'recorder', { track, source: 'audio', kid: 1024 }, new Uint8Array(32))
    backup.beat(1000)
    backup.frame(1, track, 5, new Uint8Array([1]), 2900)
    backup.frame(1, track, 6, new Uint8Array([2]), 3100) // said by people who see that nobody records
    backup.beat(4000)
    backup.frame(1, track, 7, new Uint8Array([3]), 4100)
    expect(backup.take()[0]?.frames.map((f) => f.at)).toEqual([5, 7])
  })

  it('is bounded where nobody collects it', async () => {
    const { backup, track } = await make()
    await backup.key(1, 'roster', 'recorder', { track, source: 'audio', kid: 1024 }, new Uint8Array(32))
    for (let i = 0; i < 20000; i++) backup.frame(1, track, i, new Uint8Array([1]))
    const chunks = backup.take()
    expect(chunks).toHaveLength(8)
    for (const c of chunks) expect(c.frames.length).toBeLessThanOrEqual(1500)
    expect(backup.take()).toEqual([])
  })

  it('hands over pictures in pieces that the agent takes', async () => {
    const { backup, track } = await make()
    await backup.key(1, 'roster', 'recorder', { track, source: 'video', kid: 1025 }, new Uint8Array(32))
    for (let i = 0; i < 20; i++) backup.frame(1, track, i, new Uint8Array(50_000))
    backup.list(1, 'a list')
    const chunks = backup.take()
    expect(chunks.length).toBeGreaterThan(1)
    expect(chunks.flatMap((c) => c.frames)).toHaveLength(20)
    expect(chunks.flatMap((c) => c.origins)).toEqual(['a list'])
    for (const c of chunks) expect(JSON.stringify(c).length).toBeLessThan(1 << 20)
  })

  it('keeps the largest layer of a picture, from a key frame on', () => {
    const largest = new Largest()
    const frame = (source: number, width: number, key: boolean) => ({ source, width, key })
    const said = [
      largest.keeps(frame(1, 320, false), 0), // nothing to begin with
      largest.keeps(frame(1, 320, true), 10),
      largest.keeps(frame(1, 320, false), 20),
      largest.keeps(frame(2, 1280, false), 30), // larger, but it could not be shown
      largest.keeps(frame(2, 1280, true), 40),
      largest.keeps(frame(1, 320, true), 50), // smaller
      largest.keeps(frame(2, 1280, false), 60),
      largest.keeps(frame(1, 320, true), 900), // the larger one may come again
      largest.keeps(frame(1, 320, true), 1100), // it did not
      largest.keeps(frame(1, 320, false), 1110),
      largest.keeps(frame(2, 1280, true), 1120),
    ]
    expect(said).toEqual([false, true, true, false, true, false, true, false, true, true, true])
  })
})
