__all__=[]
def __getattr__(n): raise AttributeError(n)
def __dir__(): return []
