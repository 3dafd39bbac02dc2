from hypothesis import settings

settings.register_profile("engine", deadline=None, database=None)
settings.load_profile("engine")
