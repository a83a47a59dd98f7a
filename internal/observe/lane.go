package observe

import (
	"container/heap"
	"time"
)

// lanes gives calls that overlap different lanes, always the lowest one that is free. Between two restarts
// calls come in order of start. That is greedy interval partitioning: no more lanes than calls at once.
type lanes struct {
	busy busyLanes // by when they are free
	free freeLanes // by number
	ends []time.Time
}

// restart lets the starts begin anew: a lane counts as free only behind the last end in it.
func (l *lanes) restart() {
	l.busy, l.free = l.busy[:0], l.free[:0]
	for lane, end := range l.ends {
		l.busy = append(l.busy, busyLane{end, lane})
	}
	heap.Init(&l.busy)
}

// put returns the lane of a call.
func (l *lanes) put(start, end time.Time) int {
	for len(l.busy) > 0 && !l.busy[0].end.After(start) {
		heap.Push(&l.free, heap.Pop(&l.busy).(busyLane).lane)
	}
	lane := len(l.ends)
	if len(l.free) > 0 {
		lane = heap.Pop(&l.free).(int)
	} else {
		l.ends = append(l.ends, end)
	}
	l.ends[lane] = end
	heap.Push(&l.busy, busyLane{end, lane})
	return lane
}

type busyLane struct {
	end  time.Time
	lane int
}

type busyLanes []busyLane

func (b *busyLanes) Len() int           { return len(*b) }
func (b *busyLanes) Less(i, j int) bool { return (*b)[i].end.Before((*b)[j].end) }
func (b *busyLanes) Swap(i, j int)      { (*b)[i], (*b)[j] = (*b)[j], (*b)[i] }
func (b *busyLanes) Push(x any)         { *b = append(*b, x.(busyLane)) }
func (b *busyLanes) Pop() any           { return pop((*[]busyLane)(b)) }

type freeLanes []int

func (f *freeLanes) Len() int           { return len(*f) }
func (f *freeLanes) Less(i, j int) bool { return (*f)[i] < (*f)[j] }
func (f *freeLanes) Swap(i, j int)      { (*f)[i], (*f)[j] = (*f)[j], (*f)[i] }
func (f *freeLanes) Push(x any)         { *f = append(*f, x.(int)) }
func (f *freeLanes) Pop() any           { return pop((*[]int)(f)) }

// pop takes the last element off.
func pop[T any](all *[]T) T {
	last := len(*all) - 1
	x := (*all)[last]
	*all = (*all)[:last]
	return x
}
