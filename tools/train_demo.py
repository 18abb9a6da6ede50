"""Make the demo model: render songs, train on them, export the weights."""
import sys
from pathlib import Path
from tools.demo_training import songs
folder=Path(sys.argv[1]); a,b=map(int,sys.argv[2:4]); step=int(sys.argv[4]) if len(sys.argv)>4 else 1
import traceback,time
for seed in range(a,b,step):
    try: songs.write(seed,folder)
    except Exception: traceback.print_exc()
