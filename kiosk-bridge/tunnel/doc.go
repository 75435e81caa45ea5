// Package tunnel is the language between a kiosk and the bridge: JSON messages
// over one WebSocket, in which the kiosk is a pipe for its card reader.
//
//	kiosk  hello     what it is
//	bridge visit     id, nonce, how long the visit may take
//	kiosk  document  booking reference and optical zone
//	bridge apdu      a command for the chip        } as often as needed
//	kiosk  answer    the chip's response, or none  }
//	bridge evidence  what is to be vouched for, without personal content
//	kiosk  vouch     the kiosk's signature over it
//	bridge outcome   join, desk or again
//
// At any point the bridge may send problem and close. Every message has a
// bounded size and is read strictly; every wait has an end.
package tunnel
