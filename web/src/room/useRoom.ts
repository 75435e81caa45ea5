import { useEffect, useState, useSyncExternalStore } from 'react'
import type { Device } from '../api/http'
import type { TodaysHearing } from '../api/model'
import { makeSealing } from '../media/seal'
import { RoomClient, type RoomState } from '../media/room'

/** When this page began anew by itself; a room that forces it to again and again is left to the person. */
const begun: number[] = []
const mayBeginAgain = (now: number) => {
  while (begun.length > 0 && now - begun[0] > 60_000) begun.shift()
  return begun.push(now) <= 3
}

/** Only a room terminal keeps a back-up of its own. */
function trustOf({ kind, trust }: Device): Device['trust'] {
  const { backup_key: key, ...rest } = trust
  return kind === 'room-terminal' && key !== undefined ? { ...rest, backup_key: key } : rest
}

/**
 * A stay in a room, from the moment when the person asks for it until the page
 * leaves it. `onAgain` begins another with the same media: by itself when this
 * page's chain of rosters has come apart from the room's.
 */
export function useRoom(hearing: TodaysHearing, device: Device, media: MediaStream | null, onAgain: () => void): { room: RoomClient; state: RoomState } {
  const [room] = useState(
    () =>
      new RoomClient({
        hearing: hearing.hearing,
        seats: hearing.seats.map(({ seat, role }) => ({ seat, role })),
        tickets: hearing.tickets,
        trust: trustOf(device),
        media,
        makeSealing,
      }),
  )
  useEffect(() => {
    void room.start()
    return () => room.close()
  }, [room])
  const state = useSyncExternalStore(room.subscribe, room.snapshot)
  const again = state.stage === 'again'
  useEffect(() => {
    if (again && mayBeginAgain(performance.now())) onAgain()
  }, [again, onAgain])
  return { room, state }
}

/** The hearing clock, for showing: a new value about four times a second. */
export function useClock(room: RoomClient): number {
  const [now, setNow] = useState(() => room.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(room.now()), 250)
    return () => clearInterval(timer)
  }, [room])
  return now
}
