// Package member is a member of a room without a screen: what a page does, in
// Go. The recorder is one; simulated people and load generators are others.
//
// A Member joins over any Conn that carries the messages of package wire,
// checks everybody else's statement and admission, follows signed rosters,
// exchanges wrapped keys, and sends and receives whole sealed frames. A Peer is
// its media connection alone, for those who need no room around it.
package member
